"""Calibration and risk-coverage curves."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

NUM_BINS = 15
NUM_POINTS = 100


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """The answers whose confidence lies in one interval.

    Attributes:
        low: lower end of the interval.
        high: upper end.
        num_photos: number of answers, at least 1.
        confidence: their mean confidence.
        accuracy: share of them that is right.
    """

    low: float
    high: float
    num_photos: int
    confidence: float
    accuracy: float

    def to_row(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "low": round(self.low, 6),
            "high": round(self.high, 6),
            "num_photos": self.num_photos,
            "confidence": round(self.confidence, 6),
            "accuracy": round(self.accuracy, 6),
        }


def calibration_bins(
    confidence: npt.NDArray[np.float64],
    correct: npt.NDArray[np.bool_],
    num_bins: int = NUM_BINS,
) -> list[CalibrationBin]:
    """Return the bins of equal width that have answers, lowest confidence first.

    Args:
        confidence: `(N,)`.
        correct: whether each answer is right, `(N,)`.
        num_bins: number of bins from 0 to 1.
    """
    numbers = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
    return [
        CalibrationBin(
            low=int(i) / num_bins,
            high=(int(i) + 1) / num_bins,
            num_photos=int((numbers == i).sum()),
            confidence=float(confidence[numbers == i].mean()),
            accuracy=float(correct[numbers == i].mean()),
        )
        for i in np.unique(numbers)
    ]


def calibration_error(
    confidence: npt.NDArray[np.float64],
    correct: npt.NDArray[np.bool_],
    num_bins: int = NUM_BINS,
) -> float:
    """Return the expected calibration error (https://arxiv.org/abs/1706.04599), 0 to 1."""
    bins = calibration_bins(confidence, correct, num_bins)
    gaps = (abs(one.confidence - one.accuracy) * one.num_photos for one in bins)
    return sum(gaps) / len(confidence)


@dataclass(frozen=True, slots=True)
class RiskPoint:
    """What happens if only answers of at least some trust count.

    Attributes:
        threshold: the lowest trust that counts; see `core.decision.trust`.
        coverage: share of the photos with such an answer.
        risk: share of wrong answers among them.
    """

    threshold: float
    coverage: float
    risk: float

    def to_row(self) -> dict[str, float]:
        """Return plain values for JSON."""
        return {
            "threshold": round(self.threshold, 6),
            "coverage": round(self.coverage, 6),
            "risk": round(self.risk, 6),
        }


def risk_coverage(
    trusts: npt.NDArray[np.float64], correct: npt.NDArray[np.bool_]
) -> list[RiskPoint]:
    """Return the risk-coverage curve, at most `NUM_POINTS` points, lowest coverage first.

    Args:
        trusts: `(N,)`, N at least 1.
        correct: whether each answer is right, `(N,)`.
    """
    order = np.argsort(-trusts, kind="stable")
    falling, wrong = trusts[order], np.cumsum(~correct[order])
    size = len(trusts)
    points: dict[int, RiskPoint] = {}
    for level in range(1, NUM_POINTS + 1):
        threshold = falling[ceil(size * level / NUM_POINTS) - 1]
        # Equal answers count together: no threshold tells them apart.
        count = int(np.searchsorted(-falling, -threshold, side="right"))
        points[count] = RiskPoint(float(threshold), count / size, int(wrong[count - 1]) / count)
    return list(points.values())


def risk_area(trusts: npt.NDArray[np.float64], correct: npt.NDArray[np.bool_]) -> float:
    """Return the area under the risk-coverage curve, 0 to 1; lower is better.

    It is the mean risk over the coverages 1/N, 2/N, ..., 1. Of equal answers, each counts as wrong
    as their mean.
    """
    _, numbers, sizes = np.unique(-trusts, return_inverse=True, return_counts=True)
    shares = np.bincount(numbers, weights=(~correct).astype(np.float64)) / sizes
    wrong = np.cumsum(np.repeat(shares, sizes))
    return float((wrong / np.arange(1, len(trusts) + 1)).mean())
