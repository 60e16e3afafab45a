"""Occlusion: hide one patch after another and measure how much the confidence drops.

The method needs only the model's output, so it works for any model file (Zeiler and Fergus 2014,
https://arxiv.org/abs/1311.2901).
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from recyclenet.core.images import ImageArray
from recyclenet.core.preprocess import Preprocess
from recyclenet.explanation.heatmap import Heatmap, Score, to_heatmap


def occlusion_heatmap(
    image: ImageArray,
    preprocess: Preprocess,
    score: Score,
    *,
    grid: int = 8,
    batch_size: int = 16,
) -> Heatmap:
    """Return how much the score drops when each region of the image is hidden.

    A window of 2 x 2 cells slides over a grid. The image is blurred inside the window, which hides
    detail without adding edges. Each cell gets the mean drop over the windows that cover it.

    Args:
        image: `(H, W, 3)` uint8.
        preprocess: the model's evaluation transform.
        score: maps a batch `(N, 3, S, S)` float32 to `(N,)`, such as the probability of a class.
        grid: number of cells per side.
        batch_size: number of images per call of `score`.

    Returns:
        The heatmap `(S, S)` float32 in [0, 1] of the model's input; all 0 if the score never drops.
    """
    resized = preprocess.resize(image)
    side = resized.shape[0]
    blurred = np.asarray(Image.fromarray(resized).filter(ImageFilter.GaussianBlur(side / 12)))
    edges = np.linspace(0, side, grid + 1).round().astype(int)
    windows = [(row, column) for row in range(-1, grid) for column in range(-1, grid)]
    views = np.stack([resized] * (1 + len(windows)))
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
    drop = np.zeros((grid, grid))
    count = np.zeros((grid, grid))
    for (row, column), hidden in zip(windows, scores[1:], strict=True):
        cells = np.s_[max(row, 0) : row + 2, max(column, 0) : column + 2]
        drop[cells] += scores[0] - hidden
        count[cells] += 1
    return to_heatmap(drop / count, side)
