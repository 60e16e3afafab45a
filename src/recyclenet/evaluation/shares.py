"""The share of each class in a set of photos, corrected for the model's confusions.

The estimate is the most likely one given the calibrated probabilities, found by EM (Saerens,
Latinne and Decaestecker 2002, https://doi.org/10.1162/089976602753284446). It assumes that photos
of one class look as they do among the validation photos.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recyclenet.errors import ModelFileError, UsageError

NUM_DRAWS = 1000
_MAX_STEPS = 500
_TOLERANCE = 1e-6
# Numbers held at once while drawing, to bound the memory.
_MAX_NUMBERS = 4_000_000
_SMALLEST_PRIOR = 1e-6


@dataclass(frozen=True, eq=False)
class Confusions:
    """What a model makes of the validation photos of each class.

    Attributes:
        counts: confusion matrix `(K, K)` int64; rows are true classes, columns predictions.
        prior: mean calibrated probability of each class, `(K,)`: the shares that the probabilities
            take for granted.
    """

    counts: npt.NDArray[np.int64]
    prior: npt.NDArray[np.float64]

    @classmethod
    def count(
        cls, probabilities: npt.NDArray[np.float64], targets: npt.NDArray[np.int64]
    ) -> Confusions:
        """Count the confusions on N photos: probabilities `(N, K)`, true classes `(N,)`."""
        size = probabilities.shape[1]
        counts = np.zeros((size, size), np.int64)
        np.add.at(counts, (targets, probabilities.argmax(axis=1)), 1)
        return cls(counts, probabilities.mean(axis=0))

    def to_statistics(self) -> dict[str, Any]:
        """Return plain values for a model file."""
        return {
            "counts": self.counts.tolist(),
            "prior": [round(float(share), 6) for share in self.prior],
        }

    @classmethod
    def from_statistics(cls, statistics: Mapping[str, Any], num_classes: int) -> Confusions:
        """Read the confusions in a model file.

        Raises:
            UsageError: the file has none.
            ModelFileError: they are invalid.
        """
        values = statistics.get("confusion")
        if values is None:
            raise UsageError(
                "the model file has no confusions, which an audit needs; export the model again"
            )
        try:
            rows, prior = values["counts"], np.array(values["prior"], np.float64)
            if not all(type(n) is int and 0 <= n <= 10**9 for row in rows for n in row):
                raise ValueError("counts")
            counts = np.array(rows, np.int64)
            if counts.shape != (num_classes, num_classes) or prior.shape != (num_classes,):
                raise ValueError("shape")
            if not (prior >= 0).all() or not 0.99 < prior.sum() < 1.01:
                raise ValueError("prior")
        except (KeyError, OverflowError, TypeError, ValueError) as error:
            raise ModelFileError(
                f"the model file has invalid confusions ({error!s:.80}); export the model again"
            ) from error
        return cls(counts, prior)


@dataclass(frozen=True, eq=False)
class Shares:
    """The estimated shares of K classes.

    Attributes:
        estimate: the shares, `(K,)`; they sum to 1.
        draws: random draws of the shares, given the photos and the confusions, `(D, K)`.
    """

    estimate: npt.NDArray[np.float64]
    draws: npt.NDArray[np.float64]

    def of(self, members: npt.NDArray[np.bool_]) -> tuple[float, float, float]:
        """Return the share of some of the classes together, and its 95% interval.

        Args:
            members: which classes, `(K,)`.
        """
        share = float(self.estimate[members].sum())
        low, high = np.quantile(self.draws[:, members].sum(axis=1), [0.025, 0.975])
        return share, min(share, round(float(low), 6)), min(1.0, max(share, round(float(high), 6)))


def estimate_shares(
    probabilities: npt.NDArray[np.float64],
    confusions: Confusions,
    *,
    num_draws: int = NUM_DRAWS,
    seed: int = 0,
) -> Shares:
    """Estimate the share of each class.

    The draws come from a Bayesian bootstrap over the photos, with one pseudo-photo of each class
    that weighs 1 / K, so that a class without photos gets an interval too. Each draw is then
    shifted by what a draw of the confusions, from their Dirichlet distributions, would change.

    Args:
        probabilities: calibrated probabilities of N photos, `(N, K)`, N at least 1.
        confusions: of the same model.
        num_draws: number of random draws.
        seed: of the random draws.
    """
    num_photos, size = probabilities.shape
    prior = np.maximum(confusions.prior, _SMALLEST_PRIOR)
    evidence = np.concatenate([probabilities, np.eye(size)]) / prior
    plain = np.concatenate([np.ones(num_photos), np.zeros(size)])
    estimate = _fit(evidence, plain[None], np.full(size, 1 / size))[0]
    random = np.random.default_rng(seed)
    shape = np.concatenate([np.ones(num_photos), np.full(size, 1 / size)])
    at_once = max(1, _MAX_NUMBERS // len(shape))
    start = (estimate + 1e-3) / (1 + size * 1e-3)  # EM cannot leave 0
    draws = np.concatenate(
        [
            _fit(
                evidence,
                random.gamma(shape, size=(min(at_once, num_draws - done), len(shape))),
                start,
            )
            for done in range(0, num_draws, at_once)
        ]
    )
    return Shares(estimate, _shift(draws, confusions.counts, random))


def _fit(
    evidence: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64],
    start: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Return the most likely shares, `(D, K)`, for each row of weights `(D, N)`.

    Args:
        evidence: probability of each photo's content given each class, up to a factor per photo,
            `(N, K)`.
        weights: of the photos, `(D, N)`.
        start: shares to begin with, `(K,)`, all above 0.
    """
    weights = weights / weights.sum(axis=1, keepdims=True)
    shares = np.tile(start, (len(weights), 1))
    for _ in range(_MAX_STEPS):
        total = np.maximum(shares @ evidence.T, 1e-300)
        better = shares * ((weights / total) @ evidence)
        better /= better.sum(axis=1, keepdims=True)
        change = np.abs(better - shares).max()
        shares = better
        if change < _TOLERANCE:
            break
    return shares


def _shift(
    draws: npt.NDArray[np.float64], counts: npt.NDArray[np.int64], random: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Return the draws `(D, K)` with the uncertainty of the confusions added, to first order."""
    size = counts.shape[0]
    alphas = counts + 1 / size
    means = alphas / alphas.sum(axis=1, keepdims=True)
    moved = np.zeros_like(draws)
    for alpha, mean, share in zip(alphas, means, draws.T, strict=True):
        moved += share[:, None] * (random.dirichlet(alpha, len(draws)) - mean)
    shifted = np.maximum(draws - moved @ np.linalg.pinv(means), 0)
    total = shifted.sum(axis=1, keepdims=True)
    return np.where(total > 0, shifted / np.maximum(total, 1e-300), draws)
