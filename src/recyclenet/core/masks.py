"""Parts of a photo as masks: what is connected, and the surface of a plain background."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Mask: TypeAlias = npt.NDArray[np.bool_]


def connected(seeds: Mask, free: Mask) -> Mask:
    """Return the free pixels that are connected to free seeds, by their sides, `(H, W)`."""
    reached, num_before = seeds & free, -1
    while (num_reached := int(reached.sum())) != num_before:
        num_before = num_reached
        reached = _along_rows(reached, free)
        reached = _along_rows(reached.T, free.T).T
    return reached


def _along_rows(reached: Mask, free: Mask) -> Mask:
    """Return the runs of free pixels in rows that have a reached pixel."""
    starts = free.copy()
    starts[:, 1:] &= ~free[:, :-1]
    runs = np.cumsum(starts.ravel()).reshape(free.shape)
    is_reached = np.zeros(int(runs[-1, -1]) + 1, bool)
    is_reached[runs[reached]] = True
    spread: Mask = free & is_reached[runs]
    return spread


def frame(height: int, width: int, thickness: int) -> Mask:
    """Return the pixels along the four borders, `(H, W)`."""
    mask = np.ones((height, width), bool)
    mask[thickness:-thickness, thickness:-thickness] = False
    return mask


def quadratic_terms(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the terms of a quadratic surface, `(..., 6)`; it follows the light on a background."""
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
