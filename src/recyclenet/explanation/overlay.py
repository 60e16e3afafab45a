"""Laying a heatmap over the picture it explains."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recyclenet.core.images import ImageArray

# Anchors of a perceptually even ramp from dark blue to yellow (after matplotlib's "plasma").
_RAMP = np.array(
    [[13, 8, 135], [126, 3, 168], [204, 71, 120], [248, 149, 64], [240, 249, 33]], np.float32
)


def overlay(
    image: ImageArray, heatmap: npt.NDArray[np.float32], strength: float = 0.6
) -> ImageArray:
    """Colour what matters.

    Args:
        image: `(H, W, 3)` uint8.
        heatmap: `(H, W)` float32 in [0, 1].
        strength: share of the colour where the heatmap is 1.

    Returns:
        `(H, W, 3)` uint8: grey where the heatmap is 0, coloured where it is 1.
    """
    place = heatmap * (len(_RAMP) - 1)
    below = np.minimum(place.astype(int), len(_RAMP) - 2)
    share = (place - below)[..., None]
    colour = _RAMP[below] * (1 - share) + _RAMP[below + 1] * share
    grey = image.mean(axis=2, keepdims=True)
    weight = strength * heatmap[..., None]
    base = grey * (1 - heatmap[..., None]) + image * heatmap[..., None]
    return np.asarray((base * (1 - weight) + colour * weight).clip(0, 255), np.uint8)
