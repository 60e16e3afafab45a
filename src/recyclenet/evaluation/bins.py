"""How well photos get into their bins, and what the mistakes cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recyclenet.core.decision import ASK, softmax
from recyclenet.evaluation.table import PredictionTable
from recyclenet.inference.classifier import Classifier


@dataclass(frozen=True)
class BinScores:
    """How well N photos get into the bins of a city's rules.

    Attributes:
        num_photos: bin to number of photos that belong there.
        num_asked: bin to how many of these go to a person instead.
        num_right: bin to how many of these get into it.
        mean_cost: mean cost of the decisions, over the photos whose cost is known; None if the
            rules name no costs.
        argmax_mean_cost: the same for the bin of the most probable class, with a person asked if
            the answer is not known.
    """

    num_photos: dict[str, int]
    num_asked: dict[str, int]
    num_right: dict[str, int]
    mean_cost: float | None
    argmax_mean_cost: float | None

    @property
    def coverage(self) -> float:
        """Share of the photos that get a bin, 0 to 1."""
        return 1 - sum(self.num_asked.values()) / sum(self.num_photos.values())

    @property
    def accuracy(self) -> float:
        """Share of the right bin among the photos that get one; 0 if there are none."""
        answered = sum(self.num_photos.values()) - sum(self.num_asked.values())
        return sum(self.num_right.values()) / max(1, answered)

    def to_row(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "coverage": round(self.coverage, 6),
            "accuracy": round(self.accuracy, 6),
            "mean_cost": _rounded(self.mean_cost),
            "argmax_mean_cost": _rounded(self.argmax_mean_cost),
            "per_bin": {
                name: {
                    "num_photos": self.num_photos[name],
                    "num_asked": self.num_asked[name],
                    "num_right": self.num_right[name],
                    "accuracy": round(self._accuracy(name), 6),
                }
                for name in self.num_photos
            },
        }

    def lines(self) -> Iterator[str]:
        """Yield the figures as lines of text."""
        line = (
            f"bins: {self.coverage:.1%} of the photos get one, {self.accuracy:.2%} of these the "
            f"right one"
        )
        if self.mean_cost is not None and self.argmax_mean_cost is not None:
            line += (
                f"; mean cost {self.mean_cost:.4f}, with the bin of the most probable class "
                f"{self.argmax_mean_cost:.4f}"
            )
        yield line
        yield f"{'bin':<40}{'photos':>8}{'asked':>8}{'right':>8}"
        for name, count in self.num_photos.items():
            asked, right = self.num_asked[name], self.num_right[name]
            yield f"{name[:39]:<40}{count:>8}{asked:>8}{right:>8}{self._accuracy(name):>8.1%}"

    def _accuracy(self, name: str) -> float:
        return self.num_right[name] / max(1, self.num_photos[name] - self.num_asked[name])


def score_bins(table: PredictionTable, classifier: Classifier) -> BinScores:
    """Return how well a classifier's rules sort the photos of a prediction table."""
    chooser, targets = classifier.bins, table.targets
    probabilities = softmax(table.logits, classifier.info.temperature)
    choices, _ = classifier.choose_bins(probabilities, table.unknown)
    truth = chooser.right[targets]
    asks = classifier.must_ask(probabilities, table.unknown)
    usual = np.where(asks, ASK, chooser.most_probable(probabilities))

    def counts(rows: npt.NDArray[np.bool_]) -> dict[str, int]:
        return {
            chooser.bins[i]: int((rows & (truth == i)).sum()) for i in sorted(set(truth.tolist()))
        }

    return BinScores(
        counts(truth >= 0),
        counts(choices == ASK),
        counts(choices == truth),
        _mean(chooser.true_costs(choices, targets)),
        _mean(chooser.true_costs(usual, targets)),
    )


def _mean(costs: npt.NDArray[np.float64]) -> float | None:
    """Return the mean of the costs that are known."""
    known = costs[~np.isnan(costs)]
    return float(known.mean()) if len(known) else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
