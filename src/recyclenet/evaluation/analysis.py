"""Everything that a report shows, as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recyclenet.core.decision import softmax, trust
from recyclenet.evaluation.bins import BinScores
from recyclenet.evaluation.curves import (
    CalibrationBin,
    RiskPoint,
    calibration_bins,
    calibration_error,
    risk_area,
    risk_coverage,
)
from recyclenet.evaluation.metrics import Scores, worst_rows
from recyclenet.evaluation.open_set import OpenSetScores
from recyclenet.evaluation.slices import Slice
from recyclenet.evaluation.suspects import Overlap, label_suspects
from recyclenet.evaluation.table import PredictionTable


@dataclass(frozen=True)
class Calibration:
    """How well confidences match accuracies.

    Attributes:
        temperature: divisor of the logits before the softmax.
        bins: of the calibrated answers.
        ece: their expected calibration error.
        bins_before: the same at temperature 1.
        ece_before: the same at temperature 1.
    """

    temperature: float
    bins: list[CalibrationBin]
    ece: float
    bins_before: list[CalibrationBin]
    ece_before: float

    def to_row(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "temperature": round(self.temperature, 6),
            "ece": round(self.ece, 6),
            "ece_before": round(self.ece_before, 6),
            "bins": [one.to_row() for one in self.bins],
            "bins_before": [one.to_row() for one in self.bins_before],
        }


@dataclass(frozen=True)
class RiskCurve:
    """The share of wrong answers if only the most confident ones count.

    Attributes:
        points: of the curve.
        area: under the curve; see `curves.risk_area`.
    """

    points: list[RiskPoint]
    area: float

    def to_row(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"area": round(self.area, 6), "points": [point.to_row() for point in self.points]}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer for one photo of known class.

    Attributes:
        path: of the photo.
        domain: of the photo; empty if unknown.
        truth: the label.
        label: the answer.
        confidence: calibrated probability of the answer.
        true_probability: calibrated probability of the label.
        loss: negative logarithm of that, nats.
        known: whether the answer counts as known.
        suspect: whether the label is likely wrong.
        top: the most probable classes, most probable first.
    """

    path: str
    domain: str
    truth: str
    label: str
    confidence: float
    true_probability: float
    loss: float
    known: bool
    suspect: bool
    top: Mapping[str, float]

    @property
    def name(self) -> str:
        """The photo's file name."""
        return Path(self.path).name

    @property
    def is_right(self) -> bool:
        """Whether the answer is the label."""
        return self.label == self.truth

    def to_row(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "path": self.path,
            "domain": self.domain,
            "true": self.truth,
            "predicted": self.label,
            "confidence": round(self.confidence, 6),
            "true_probability": round(self.true_probability, 6),
            "loss": round(self.loss, 6),
            "known": self.known,
            "suspect": self.suspect,
            "top": {name: round(value, 6) for name, value in self.top.items()},
        }


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """Everything that a report shows.

    Attributes:
        scores: the metrics.
        calibration: of the confidences.
        risk: the risk-coverage curve.
        by_domain: metrics of each domain; empty if there is only one.
        bins: how the photos get into their bins; None without rules.
        open_set: the figures of photos of other things; None without such photos.
        slices: accuracy on parts of the photos, by what divides them.
        suspects: photos whose label is likely wrong, the worst first.
        worst: photos with wrong or doubtful answers, the worst first.
        overlap: of the photos with the training photos; None if unknown.
        num_training: number of evaluated photos that are training photos.
        min_confused: pairs that are confused less often are left out.
    """

    scores: Scores
    calibration: Calibration
    risk: RiskCurve
    by_domain: Mapping[str, Scores] = field(default_factory=dict)
    bins: BinScores | None = None
    open_set: OpenSetScores | None = None
    slices: Mapping[str, list[Slice]] = field(default_factory=dict)
    suspects: list[Answer] = field(default_factory=list)
    worst: list[Answer] = field(default_factory=list)
    overlap: Overlap | None = None
    num_training: int = 0
    min_confused: int = 1

    @property
    def most_confused(self) -> list[tuple[str, str, int]]:
        """(true, predicted, count) of each confusion, most frequent first."""
        return self.scores.most_confused(self.min_confused)

    def to_row(self) -> dict[str, Any]:
        """Return plain values for JSON, without the metrics themselves."""
        shared = self.overlap
        return {
            "confusion_rates": self.scores.rates.round(6).tolist(),
            "min_confused": self.min_confused,
            "most_confused": [
                {"true": truth, "predicted": label, "num_photos": count}
                for truth, label, count in self.most_confused
            ],
            "calibration": self.calibration.to_row(),
            "risk_coverage": self.risk.to_row(),
            "slices": {
                kind: [part.to_row() for part in parts] for kind, parts in self.slices.items()
            },
            "num_training": self.num_training,
            "overlap": None
            if shared is None
            else {"num_photos": shared.num_photos, "num_shared": shared.num_shared},
            "suspects": [answer.to_row() for answer in self.suspects],
            "worst": [answer.to_row() for answer in self.worst],
        }


def calibration(
    probabilities: npt.NDArray[np.float64],
    before: npt.NDArray[np.float64],
    targets: npt.NDArray[np.int64],
    temperature: float,
) -> Calibration:
    """Return how well confidences match accuracies.

    Args:
        probabilities: at the model's temperature, `(N, K)`.
        before: at temperature 1, `(N, K)`.
        targets: `(N,)`.
        temperature: the model's.
    """

    def judged(
        values: npt.NDArray[np.float64],
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        return values.max(1), values.argmax(1) == targets

    now, then = judged(probabilities), judged(before)
    return Calibration(
        temperature,
        calibration_bins(*now),
        calibration_error(*now),
        calibration_bins(*then),
        calibration_error(*then),
    )


def risk_curve(table: PredictionTable, probabilities: npt.NDArray[np.float64]) -> RiskCurve:
    """Return the risk-coverage curve of a prediction table.

    Args:
        table: the N photos.
        probabilities: calibrated, `(N, K)`.
    """
    trusts, right = trust(probabilities, table.unknown), probabilities.argmax(1) == table.targets
    return RiskCurve(risk_coverage(trusts, right), risk_area(trusts, right))


def answers(
    table: PredictionTable, temperature: float, threshold: float
) -> tuple[list[Answer], list[Answer]]:
    """Return the wrong or doubtful answers, and those whose label is likely wrong, worst first.

    Args:
        table: the photos.
        temperature: divisor of the logits before the softmax.
        threshold: lowest trust that counts as known.
    """
    probabilities, targets = softmax(table.logits, temperature), table.targets
    known = trust(probabilities, table.unknown) >= threshold
    suspects = label_suspects(probabilities, targets)
    doubted, names = frozenset(suspects), table.class_names

    def answer(row: int) -> Answer:
        own, sample = probabilities[row], table.samples[row]
        order = np.argsort(-own, kind="stable")[:3]
        likelihood = float(own[targets[row]])
        return Answer(
            path=str(sample.path),
            domain=sample.domain,
            truth=sample.label,
            label=names[order[0]],
            confidence=float(own[order[0]]),
            true_probability=likelihood,
            loss=float(-np.log(max(likelihood, 1e-12))) + 0.0,
            known=bool(known[row]),
            suspect=row in doubted,
            top={names[i]: float(own[i]) for i in order},
        )

    worst = worst_rows(probabilities, targets, known)
    return [answer(row) for row in worst], [answer(row) for row in suspects]
