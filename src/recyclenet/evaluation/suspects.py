"""Photos to doubt: labels that are likely wrong, and photos that the model may have learned."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recyclenet.data.manifest import Sample


def label_suspects(
    probabilities: npt.NDArray[np.float64], targets: npt.NDArray[np.int64]
) -> list[int]:
    """Return the rows whose label is likely wrong, the least probable label first.

    Confident learning (arXiv:1911.00068), the rule that cleanlab calls "confident_learning": the
    model is as sure of another class as it usually is of that class's own photos, and surer than of
    any other such class. `data clean --predictions` uses a wider rule, which needs cleanlab.

    Args:
        probabilities: calibrated probabilities, `(N, K)`.
        targets: indices of the labels, `(N,)`.
    """
    num_photos, num_classes = probabilities.shape
    usual = np.full(num_classes, np.inf)
    for index in np.unique(targets):
        usual[index] = probabilities[targets == index, index].mean()
    sure = np.where(probabilities >= usual - 1e-6, probabilities, -1)
    other = sure.argmax(1)
    answers = probabilities.argmax(1)
    suspect = (sure.max(1) >= 0) & (other != targets) & (answers != targets)
    rows = np.flatnonzero(suspect)
    own = probabilities[np.arange(num_photos), targets]
    return [int(row) for row in rows[np.argsort(own[rows], kind="stable")]]


@dataclass(frozen=True, slots=True)
class Overlap:
    """How many evaluated photos belong together with training photos.

    Attributes:
        num_photos: number of evaluated photos with a group or a digest.
        num_shared: how many of them share it with a training photo.
    """

    num_photos: int
    num_shared: int


def overlap(evaluated: Iterable[Sample], training: Iterable[Sample]) -> Overlap | None:
    """Count the evaluated photos that share a group or their bytes with a training photo.

    Returns:
        The counts; None if either have neither groups nor digests, so that nothing is known.
    """
    learned = {key for sample in training for key in shared_keys(sample)}
    tested = [keys for keys in map(shared_keys, evaluated) if keys]
    if not learned or not tested:
        return None
    return Overlap(len(tested), sum(not learned.isdisjoint(keys) for keys in tested))


def shared_keys(sample: Sample) -> list[tuple[str, str]]:
    """Return what a photo shares with its copies."""
    keys = [("group", sample.group), ("sha256", sample.sha256)]
    return [(kind, value) for kind, value in keys if value]
