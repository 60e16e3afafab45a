"""The heatmap that all methods return."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

Heatmap: TypeAlias = npt.NDArray[np.float32]
# Maps a batch `(N, 3, S, S)` float32 to `(N,)`, such as the probability of a class.
Score: TypeAlias = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float64]]


def to_heatmap(relevance: npt.NDArray[np.floating], side: int) -> Heatmap:
    """Scale a coarse map to a heatmap of the model's input.

    Args:
        relevance: `(h, w)`, larger where the image supports the answer; negative values count as 0.
        side: S, the side of the model's input, pixels.

    Returns:
        `(S, S)` float32 in [0, 1]; all 0 if no value is positive.
    """
    cells = np.maximum(relevance, 0).astype(np.float32)
    if cells.max() > 0:
        cells /= cells.max()
    smooth = Image.fromarray(cells).resize((side, side), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(smooth, np.float32), 0, 1)
