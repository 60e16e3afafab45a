"""Validation photos in folds, to see whether what is fitted to some of them helps with others."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from recyclenet.data.manifest import Sample

# With fewer validation photos, cross-validation cannot show whether something helps.
MIN_PHOTOS = 200
NUM_FOLDS = 5


def validation_folds(samples: Iterable[Sample]) -> npt.NDArray[np.int64] | None:
    """Return the fold of each photo, `(N,)`; photos of one group share it.

    Returns:
        None if there are too few photos, or too few groups.
    """
    groups = [sample.group or str(sample.path) for sample in samples]
    names, numbers = np.unique(groups, return_inverse=True)
    folds = np.random.default_rng(0).integers(NUM_FOLDS, size=len(names))[numbers]
    if len(folds) < MIN_PHOTOS or len(np.unique(folds)) < NUM_FOLDS:
        return None
    return np.asarray(folds, np.int64)
