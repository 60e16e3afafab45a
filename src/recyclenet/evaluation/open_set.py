"""How well a classifier tells photos of its classes from photos of other things."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recyclenet.core.decision import softmax, trust
from recyclenet.core.progress import Progress, silent
from recyclenet.data.manifest import Manifest, Sample
from recyclenet.errors import RecycleNetError
from recyclenet.evaluation.predict import predict
from recyclenet.evaluation.table import PredictionTable
from recyclenet.inference.classifier import Classifier

# Stands for the label of a photo of another thing.
OTHER = "_"


@dataclass(frozen=True, slots=True)
class OpenSetScores:
    """Figures of photos of other things.

    Attributes:
        num_photos: photos of other things that could be read.
        accepted: the share of them whose answer counts as known, 0 to 1; each is an error.
        auroc: probability that a labelled photo has more trust than one of another thing, 0.5 to 1
            if trust tells anything; see `core.decision.trust`.
        by_domain: the same against the labelled photos of each domain, if there are several.
    """

    num_photos: int
    accepted: float
    auroc: float
    by_domain: dict[str, float]

    def to_row(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        return {
            "num_photos": self.num_photos,
            "accepted": round(self.accepted, 6),
            "auroc": round(self.auroc, 6),
            "auroc_by_domain": {name: round(value, 6) for name, value in self.by_domain.items()},
        }

    def lines(self) -> list[str]:
        """Return the figures as lines of text."""
        domains = ", ".join(f"{name or '(none)'} {auc:.3f}" for name, auc in self.by_domain.items())
        return [
            f"{self.num_photos} photos of other things: {self.accepted:.1%} count as known; "
            f"AUROC against the labelled photos {self.auroc:.3f}",
            *([f"AUROC by domain: {domains}"] if domains else []),
        ]


def score_open_set(
    classifier: Classifier,
    table: PredictionTable,
    negatives: Iterable[Path],
    progress: Progress = silent,
) -> tuple[OpenSetScores, tuple[RecycleNetError, ...]]:
    """Run a classifier on photos of other things and compare them with the labelled photos.

    Args:
        classifier: the classifier.
        table: its own logits for the labelled photos.
        negatives: photos of other things.
        progress: reports the number of photos done.

    Returns:
        The figures, and one error for each photo without logits.

    Raises:
        DataError: no photo of another thing can be read.
    """
    manifest = Manifest(tuple(Sample(path, OTHER) for path in negatives))
    found = predict(classifier, manifest, progress, labels=(OTHER,))
    others = _trust(found, classifier)

    def area(part: PredictionTable) -> float:
        return auroc(_trust(part, classifier), others)

    return (
        OpenSetScores(
            num_photos=len(others),
            accepted=float((others >= classifier.threshold).mean()),
            auroc=area(table),
            by_domain={name: area(part) for name, part in table.by_domain().items()},
        ),
        found.problems,
    )


def _trust(table: PredictionTable, classifier: Classifier) -> npt.NDArray[np.float64]:
    return trust(softmax(table.logits, classifier.info.temperature), table.unknown)


def auroc(positive: npt.NDArray[np.float64], negative: npt.NDArray[np.float64]) -> float:
    """Return the probability that a positive has the higher score; ties count one half.

    >>> auroc(np.array([0.9, 0.5]), np.array([0.5, 0.1]))
    0.875
    """
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, "left")
    upto = np.searchsorted(ordered, positive, "right")
    return float((below + upto).mean() / (2 * len(ordered)))
