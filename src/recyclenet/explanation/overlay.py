"""Draw a heatmap over the image it explains."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recyclenet.core.images import ImageArray

# Control points of a perceptually uniform colour map (matplotlib's "plasma").
_COLOUR_MAP = np.array(
    [[13, 8, 135], [126, 3, 168], [204, 71, 120], [248, 149, 64], [240, 249, 33]], np.float32
)


def overlay(
    image: ImageArray, heatmap: npt.NDArray[np.float32], strength: float = 0.6
) -> ImageArray:
    """Blend a colour-mapped heatmap with an image.

    Args:
        image: `(H, W, 3)` uint8.
        heatmap: `(H, W)` float32 in [0, 1].
        strength: opacity of the colour map where the heatmap is 1.

    Returns:
        `(H, W, 3)` uint8: grey where the heatmap is 0, coloured where it is 1.
    """
    position = heatmap * (len(_COLOUR_MAP) - 1)
    below = np.minimum(position.astype(int), len(_COLOUR_MAP) - 2)
    share = (position - below)[..., None]
    colour = _COLOUR_MAP[below] * (1 - share) + _COLOUR_MAP[below + 1] * share
    grey = image.mean(axis=2, keepdims=True)
    weight = strength * heatmap[..., None]
    base = grey * (1 - heatmap[..., None]) + image * heatmap[..., None]
    return np.asarray((base * (1 - weight) + colour * weight).clip(0, 255), np.uint8)
