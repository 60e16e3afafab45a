"""From logits to calibrated probabilities, and from these to a bin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recyclenet.core.taxonomy import STREAMS, Rules

# Stands for "ask a person" among the numbers of the bins.
ASK = -1


def sigmoid(
    values: npt.NDArray[np.float32] | npt.NDArray[np.float64],
) -> npt.NDArray[np.float32]:
    """Return probabilities of the same shape, without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * values)), np.float32)


def trust(
    probabilities: npt.NDArray[np.float64],
    unknown: npt.NDArray[np.float32] | None = None,
    bins: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.float64]:
    """Return the score that decides whether an answer counts as known, `(N,)`, 0 to 1.

    It is the confidence times the probability that the photo shows one of the classes.

    Args:
        probabilities: calibrated probabilities, `(N, K)`.
        unknown: probability that a photo shows none of the classes, `(N,)`; None if the model has
            no unknown score.
        bins: the number of the bin for each class, `(K,)`. With it, the answer is the bin of the
            most probable class, and the probabilities of all classes of that bin count together.
    """
    confidence: npt.NDArray[np.float64] = probabilities.max(axis=1)
    if bins is not None:
        shared = bins == bins[probabilities.argmax(axis=1)][:, None]
        confidence = np.where(shared, probabilities, 0).sum(axis=1)
    return confidence if unknown is None else confidence * (1 - unknown.astype(np.float64))


def softmax(logits: npt.ArrayLike, temperature: float = 1.0) -> npt.NDArray[np.float64]:
    """Return calibrated probabilities.

    Args:
        logits: `(..., K)`.
        temperature: divisor of the logits, fitted on validation photos (Guo et al. 2017,
            https://arxiv.org/abs/1706.04599).

    Returns:
        `(..., K)` float64; the last axis sums to 1.
    """
    scaled = np.asarray(logits, np.float64) / temperature
    scaled = scaled - scaled.max(axis=-1, keepdims=True)
    exponent = np.exp(scaled)
    return np.asarray(exponent / exponent.sum(axis=-1, keepdims=True))


@dataclass(frozen=True, eq=False)
class BinChooser:
    """Chooses the bin for a photo: that of the most probable class, or the cheapest one.

    Attributes:
        bins: the B bins to choose from.
        right: the number of the right bin for each class, `(K,)`.
        costs: what each bin costs for a photo of each class, `(K, B)`; None if the rules name no
            costs.
        abstain: what it costs to ask a person; None if the rules do not say.
    """

    bins: tuple[str, ...]
    right: npt.NDArray[np.int64]
    costs: npt.NDArray[np.float64] | None = None
    abstain: float | None = None

    def choose(
        self, probabilities: npt.NDArray[np.float64], ask: npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Choose a bin for each of N photos.

        Without costs, it is the bin of the most probable class. With costs, it is the bin with the
        lowest expected cost, or none if asking a person costs less.

        Args:
            probabilities: calibrated probabilities of the classes, `(N, K)`.
            ask: photos that a person must decide in any case, `(N,)`.

        Returns:
            The number of the bin or `ASK`, `(N,)`, and the expected cost, `(N,)`; NaN where no cost
            is known.
        """
        if self.costs is None:
            choices = np.where(ask, ASK, self.most_probable(probabilities))
            return choices, np.full(len(probabilities), np.nan)
        expected = probabilities @ self.costs
        cheapest, lowest = expected.argmin(1), expected.min(1)
        asking = np.nan if self.abstain is None else self.abstain
        ask = ask | (asking < lowest)  # false for NaN
        return np.where(ask, ASK, cheapest), np.where(ask, asking, lowest)

    def most_probable(self, probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Return the number of the bin of the most probable class, `(N,)`."""
        return np.asarray(self.right[probabilities.argmax(1)])

    def true_costs(
        self, choices: npt.NDArray[np.int64], targets: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float64]:
        """Return what choices cost for photos of known classes, `(N,)`; NaN where unknown."""
        if self.costs is None:
            return np.full(len(choices), np.nan)
        asking = np.nan if self.abstain is None else self.abstain
        return np.where(choices == ASK, asking, self.costs[targets, choices])


def bin_chooser(rules: Rules, streams: Mapping[str, str]) -> BinChooser:
    """Return the chooser for a model's classes under a city's rules.

    Args:
        rules: the rules.
        streams: class to stream under these rules, in the order of the logits.
    """
    places = [rules.bin_of(label, stream) for label, stream in streams.items()]
    held: dict[str, set[str]] = {}  # the streams in each bin
    for place, stream in zip(places, streams.values(), strict=True):
        held.setdefault(place, set()).add(stream)
    # With costs, a bin for none of the model's classes may be the cheapest.
    for stream in STREAMS if rules.costs is not None else ():
        held.setdefault(rules.bin_of_stream(stream), set()).add(stream)
    bins = tuple(held)
    right = np.array([bins.index(place) for place in places], np.int64)
    if rules.costs is None:
        return BinChooser(bins, right)
    costs = [
        [_cost(rules.costs, (label, place, stream), name, held[name]) for name in bins]
        for (label, stream), place in zip(streams.items(), places, strict=True)
    ]
    return BinChooser(bins, right, np.array(costs, np.float64), rules.abstain)


def _cost(
    costs: Mapping[str, Mapping[str, float]],
    truth: tuple[str, str, str],
    chosen: str,
    streams: set[str],
) -> float:
    """Return the cost of one mistake: the most specific one that the rules name, else 1.

    Args:
        costs: the costs in the rules.
        truth: class, bin and stream of the photo.
        chosen: the bin chosen.
        streams: the streams that belong there.
    """
    if chosen == truth[1]:
        return 0.0
    for row in (costs.get(name, {}) for name in truth):
        if chosen in row:
            return row[chosen]
        named = [row[stream] for stream in streams if stream in row]
        if named:
            return max(named)
    return 1.0
