"""Occlusion: hide one patch after another, and see where the answer loses its confidence.

Needs nothing but the model's answers, so it works on any model file (Zeiler and Fergus 2014,
https://arxiv.org/abs/1311.2901).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from recyclenet.core.images import ImageArray
from recyclenet.core.preprocess import Preprocess

Heatmap = npt.NDArray[np.float32]


def occlusion_heatmap(
    image: ImageArray,
    preprocess: Preprocess,
    score: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float64]],
    *,
    grid: int = 8,
    batch_size: int = 16,
) -> Heatmap:
    """Return how much the score falls where the picture is hidden.

    A window of two by two cells slides over a grid of cells; what it covers is blurred, which
    hides detail without adding edges. Each cell gets the mean fall over the windows that cover it.

    Args:
        image: `(H, W, 3)` uint8.
        preprocess: the model's evaluation transform.
        score: maps a batch `(N, 3, S, S)` float32 to `(N,)`, such as the probability of a class.
        grid: cells along a side.
        batch_size: pictures a call of `score`.

    Returns:
        `(S, S)` float32 in [0, 1], over what the model sees of the picture; all 0 where hiding
        changes nothing.
    """
    seen = preprocess.resize(image)
    side = seen.shape[0]
    blurred = np.asarray(Image.fromarray(seen).filter(ImageFilter.GaussianBlur(side / 12)))
    edges = np.linspace(0, side, grid + 1).round().astype(int)
    windows = [(row, column) for row in range(-1, grid) for column in range(-1, grid)]
    views = np.stack([seen] * (1 + len(windows)))
    for view, (row, column) in zip(views[1:], windows, strict=True):
        top, bottom = edges[max(row, 0)], edges[min(row + 2, grid)]
        left, right = edges[max(column, 0)], edges[min(column + 2, grid)]
        view[top:bottom, left:right] = blurred[top:bottom, left:right]
    scores = np.concatenate(
        [
            score(preprocess.normalise(views[start : start + batch_size]))
            for start in range(0, len(views), batch_size)
        ]
    )
    fall = np.zeros((grid, grid))
    covered = np.zeros((grid, grid))
    for (row, column), hidden in zip(windows, scores[1:], strict=True):
        cells = np.s_[max(row, 0) : row + 2, max(column, 0) : column + 2]
        fall[cells] += scores[0] - hidden
        covered[cells] += 1
    relevance = np.maximum(fall / covered, 0)
    if relevance.max() > 0:
        relevance /= relevance.max()
    smooth = Image.fromarray(relevance.astype(np.float32)).resize(
        (side, side), Image.Resampling.BICUBIC
    )
    return np.clip(np.asarray(smooth, np.float32), 0, 1)
