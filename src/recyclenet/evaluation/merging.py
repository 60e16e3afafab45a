"""Merge the classes of a model, to score it on photos with coarser labels or fewer classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from recyclenet.data.label_map import LEAVE_OUT
from recyclenet.errors import UsageError, nearest


def merged_names(class_names: tuple[str, ...], mapping: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the merged classes, sorted if any class is renamed.

    Args:
        class_names: the model's K classes.
        mapping: class to merged class, or to `LEAVE_OUT` for one that is no answer here.

    Raises:
        UsageError: the model lacks a class of the mapping, or no class is left.
    """
    for name in mapping:
        if name not in class_names:
            raise UsageError(f"the model has no class {name!r}: {nearest(name, class_names)}")
    names = {mapping.get(name, name) for name in class_names} - {LEAVE_OUT}
    if not names:
        raise UsageError("the map leaves out all classes of the model; keep some")
    return tuple(sorted(names)) if mapping else class_names


def merged_logits(
    logits: npt.NDArray[np.float32],
    class_names: tuple[str, ...],
    mapping: Mapping[str, str],
    temperature: float,
) -> npt.NDArray[np.float32]:
    """Return logits whose probabilities are the sums of the merged classes' probabilities.

    The probabilities of classes that are left out go to the others in proportion.

    Args:
        logits: `(N, K)`.
        class_names: the K classes.
        mapping: class to merged class, or to `LEAVE_OUT`.
        temperature: divisor of the logits before the softmax.

    Returns:
        `(N, M)`, in the order of `merged_names`.
    """
    if not mapping:
        return logits
    members: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(class_names):
        members[mapping.get(name, name)].append(index)
    scaled = logits.astype(np.float64) / temperature
    columns = [
        np.logaddexp.reduce(scaled[:, members[name]], axis=1)
        for name in merged_names(class_names, mapping)
    ]
    return (np.stack(columns, axis=1) * temperature).astype(np.float32)
