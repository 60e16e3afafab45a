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
from recyclenet.errors import DataError, RecycleNetError
from recyclenet.evaluation.table import PredictionTable
from recyclenet.inference.classifier import Classifier


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
            f"{self.num_photos} photos of other things: {self.accepted:.1%} answered all the same; "
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
    paths = list(negatives)
    temperature = classifier.info.temperature
    scores: list[float] = []
    problems: list[RecycleNetError] = []
    for done, (_, outputs, error) in enumerate(classifier.outputs_many(paths), 1):
        if error is not None:
            problems.append(error)
        elif outputs is not None:
            unknown = None if outputs.unknown is None else np.array([outputs.unknown], np.float32)
            scores.append(float(trust(softmax(outputs.logits[None], temperature), unknown)[0]))
        progress(done, len(paths), "other things")
    if not scores:
        raise DataError(
            f"none of the {len(paths)} photos of other things can be read; first error: "
            f"{problems[0]}"
        )
    others = np.array(scores)

    def area(part: PredictionTable) -> float:
        return auroc(trust(softmax(part.logits, temperature), part.unknown), others)

    return (
        OpenSetScores(
            num_photos=len(others),
            accepted=float((others >= classifier.threshold).mean()),
            auroc=area(table),
            by_domain={name: area(part) for name, part in table.by_domain().items()},
        ),
        tuple(problems),
    )


def auroc(positive: npt.NDArray[np.float64], negative: npt.NDArray[np.float64]) -> float:
    """Return the probability that a positive has the higher score; ties count one half.

    >>> auroc(np.array([0.9, 0.5]), np.array([0.5, 0.1]))
    0.875
    """
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, "left")
    upto = np.searchsorted(ordered, positive, "right")
    return float((below + upto).mean() / (2 * len(ordered)))
