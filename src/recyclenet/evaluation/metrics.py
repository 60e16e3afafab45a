"""Metrics of a prediction table: logits `(N, K)` and targets `(N,)`."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from recyclenet.core.decision import softmax, trust
from recyclenet.evaluation.curves import calibration_error

Z95 = 1.959963984540054


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The metrics of a model on N photos of K classes.

    Attributes:
        class_names: the K classes.
        confusion: confusion matrix `(K, K)` int64; rows are true classes, columns predictions.
        accuracy: share of correct answers, 0 to 1.
        interval: 95% Wilson interval of the accuracy.
        balanced_accuracy: mean recall of the classes that occur.
        macro_f1: mean F1 of the classes that occur.
        top2_accuracy: share of photos whose true class is among the two most probable ones.
        top3_accuracy: the same for three.
        nll: mean negative log-likelihood of the calibrated probabilities, nats.
        ece: expected calibration error with 15 equal-width bins, 0 to 1.
        coverage: share of photos whose answer counts as known, 0 to 1.
        known_accuracy: accuracy on those photos; 0 if there are none.
    """

    class_names: tuple[str, ...]
    confusion: npt.NDArray[np.int64]
    accuracy: float
    interval: tuple[float, float]
    balanced_accuracy: float
    macro_f1: float
    top2_accuracy: float
    top3_accuracy: float
    nll: float
    ece: float
    coverage: float
    known_accuracy: float

    @property
    def num_photos(self) -> int:
        """The number of photos, N."""
        return int(self.confusion.sum())

    def per_class(self) -> dict[str, dict[str, float]]:
        """Return the precision, recall, F1 and number of photos of each class."""
        precision, recall, f1 = _class_metrics(self.confusion)
        return {
            name: {
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "num_photos": int(self.confusion[i].sum()),
            }
            for i, name in enumerate(self.class_names)
        }

    @property
    def rates(self) -> npt.NDArray[np.float64]:
        """The confusion matrix as shares of each true class, `(K, K)`; 0 without photos."""
        return np.asarray(self.confusion / np.maximum(1, self.confusion.sum(1, keepdims=True)))

    def most_confused(self, least: int = 1) -> list[tuple[str, str, int]]:
        """Return (true, predicted, count) of each confusion, most frequent first.

        Args:
            least: omit confusions that are rarer.
        """
        pairs = [
            (self.class_names[row], self.class_names[column], int(self.confusion[row, column]))
            for row, column in np.argwhere(self.confusion >= max(1, least))
            if row != column
        ]
        return sorted(pairs, key=lambda pair: -pair[2])

    def figures(self) -> dict[str, Any]:
        """Return the metrics that are no tables, as plain values for JSON."""
        return {
            "num_photos": self.num_photos,
            "accuracy": round(self.accuracy, 6),
            "interval95": [round(bound, 6) for bound in self.interval],
            "balanced_accuracy": round(self.balanced_accuracy, 6),
            "macro_f1": round(self.macro_f1, 6),
            "top2_accuracy": round(self.top2_accuracy, 6),
            "top3_accuracy": round(self.top3_accuracy, 6),
            "nll": round(self.nll, 6),
            "ece": round(self.ece, 6),
            "coverage": round(self.coverage, 6),
            "known_accuracy": round(self.known_accuracy, 6),
        }

    def to_row(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            **self.figures(),
            "class_names": list(self.class_names),
            "confusion_matrix": self.confusion.tolist(),
            "per_class": {
                name: {key: round(value, 6) for key, value in metrics.items()}
                for name, metrics in self.per_class().items()
            },
        }


def score(
    logits: npt.NDArray[np.float32],
    targets: npt.NDArray[np.int64],
    class_names: tuple[str, ...],
    *,
    temperature: float = 1.0,
    threshold: float = 0.0,
    unknown: npt.NDArray[np.float32] | None = None,
) -> Scores:
    """Return the metrics of a prediction table.

    Args:
        logits: `(N, K)`, N at least 1.
        targets: indices of the true classes, `(N,)`.
        class_names: the K classes.
        temperature: divisor of the logits before the softmax.
        threshold: lowest trust that counts as known; see `core.decision.trust`.
        unknown: probability that a photo shows none of the classes, `(N,)`.
    """
    probabilities = softmax(logits, temperature)
    predicted, confidence = probabilities.argmax(1), probabilities.max(1)
    correct = predicted == targets
    known = trust(probabilities, unknown) >= threshold
    num_classes = len(class_names)
    confusion = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(confusion, (targets, predicted), 1)
    present = confusion.sum(1) > 0
    _, recall, f1 = _class_metrics(confusion)
    likelihood = probabilities[np.arange(len(targets)), targets]
    return Scores(
        class_names=class_names,
        confusion=confusion,
        accuracy=float(correct.mean()),
        interval=wilson_interval(int(correct.sum()), len(targets)),
        balanced_accuracy=float(recall[present].mean()),
        macro_f1=float(f1[present].mean()),
        top2_accuracy=top_accuracy(probabilities, targets, 2),
        top3_accuracy=top_accuracy(probabilities, targets, 3),
        nll=float(-np.log(np.maximum(likelihood, 1e-12)).mean()) + 0.0,  # never -0
        ece=calibration_error(confidence, correct),
        coverage=float(known.mean()),
        known_accuracy=float(correct[known].mean()) if known.any() else 0.0,
    )


def top_accuracy(
    probabilities: npt.NDArray[np.float64], targets: npt.NDArray[np.int64], count: int
) -> float:
    """Return the share of photos whose true class is among the `count` most probable ones.

    Args:
        probabilities: `(N, K)`; of equal ones, the first class counts as more probable.
        targets: `(N,)`.
        count: 1 or more.
    """
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
    return float((best == targets[:, None]).any(axis=1).mean())


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95% Wilson score interval of a proportion.

    >>> low, high = wilson_interval(410, 431)
    >>> round(low, 3), round(high, 3)
    (0.927, 0.968)
    """
    share, z2 = successes / trials, Z95**2
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z95 * sqrt(share * (1 - share) / trials + z2 / (4 * trials**2)) / (1 + z2 / trials)
    return max(0.0, centre - half), min(1.0, centre + half)


def _class_metrics(
    confusion: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the precision, recall and F1 of each class, `(K,)` each; 0 if undefined."""
    correct = np.diag(confusion).astype(float)
    predicted, true = confusion.sum(0), confusion.sum(1)
    return _ratio(correct, predicted), _ratio(correct, true), _ratio(2 * correct, predicted + true)


def _ratio(
    numerator: npt.NDArray[np.float64], denominator: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Divide element by element; return 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros(len(numerator)), where=denominator > 0)


def worst_rows(
    probabilities: npt.NDArray[np.float64],
    targets: npt.NDArray[np.int64],
    known: npt.NDArray[np.bool_],
) -> list[int]:
    """Return the rows with wrong or doubtful answers.

    Args:
        probabilities: `(N, K)`.
        targets: `(N,)`.
        known: whether each answer counts as known, `(N,)`; right ones that do not are doubtful.

    Returns:
        First the wrong answers, then the doubtful ones; of each, the lowest probability of the true
        class first.
    """
    likelihood = probabilities[np.arange(len(targets)), targets]
    right = probabilities.argmax(1) == targets
    rows = np.flatnonzero(~right | ~known)
    return [int(row) for row in rows[np.lexsort((likelihood[rows], right[rows]))]]
