"""The deletion score: how faithful a heatmap is (RISE, Petsiuk et al. 2018).

If a heatmap is right, removing what it marks soon lowers the probability of the class
(https://arxiv.org/abs/1806.07421).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recyclenet.core.images import ImageArray
from recyclenet.core.preprocess import Preprocess
from recyclenet.explanation.heatmap import Heatmap, Score, to_heatmap

NUM_STEPS = 10
NUM_CELLS = 14  # per side
NUM_RANDOM = 5
# Cells per side of the random heatmaps. Single random cells would be no fair comparison: holes all
# over an image disturb a network more than one large hole of the same area.
RANDOM_GRID = 7


@dataclass(frozen=True, kw_only=True)
class Deletion:
    """How the probability of a class falls while the image is removed piece by piece.

    Attributes:
        score: area under `curve`, 0 to 1; lower is better.
        random: the mean area for random heatmaps; a faithful heatmap has a lower `score`.
        curve: the probability after each step, from the whole image to none of it.
    """

    score: float
    random: float
    curve: tuple[float, ...]


def measure_deletion(
    image: ImageArray,
    heatmap: Heatmap,
    preprocess: Preprocess,
    score: Score,
    *,
    seed: int = 0,
    batch_size: int = 16,
) -> Deletion:
    """Remove an image cell by cell, the hottest first, and measure the probability of a class.

    The image is divided into 14 x 14 cells. Each of 10 steps fills a tenth of them with the mean of
    the model's normalisation. The same is done with five random heatmaps, scaled up from 7 x 7.

    Args:
        image: the model's input before normalisation, `(S, S, 3)` uint8.
        heatmap: `(S, S)` float32.
        preprocess: the model's evaluation transform.
        score: maps a batch `(N, 3, S, S)` float32 to the probability of the class, `(N,)`.
        seed: of the random heatmaps, and of the order of cells of the same heat.
        batch_size: number of images per call of `score`.
    """
    side = image.shape[0]
    per_side = min(NUM_CELLS, side)
    place = np.arange(side) * per_side // side
    cells = place[:, None] * per_side + place
    num_cells = per_side**2
    draw = np.random.default_rng(seed)
    noise = [draw.random((RANDOM_GRID, RANDOM_GRID)) for _ in range(NUM_RANDOM)]
    orders = []
    for each in (heatmap, *(to_heatmap(grid, side) for grid in noise)):
        heat = np.bincount(cells.ravel(), each.ravel()) / np.bincount(cells.ravel())
        mixed = draw.permutation(num_cells)
        orders.append(mixed[np.argsort(-heat[mixed], kind="stable")])
    # The cells of each step that are still there; the first step and the last are common to all.
    kept = [np.ones(num_cells, bool), np.zeros(num_cells, bool)]
    for order in orders:
        rank = np.empty(num_cells)
        rank[order] = np.linspace(0, 1, num_cells, endpoint=False)
        kept += [rank >= step / NUM_STEPS for step in range(1, NUM_STEPS)]
    pixels = preprocess.normalise(image)
    found = np.concatenate(
        [
            score(np.stack([pixels * mask[cells] for mask in kept[start : start + batch_size]]))
            for start in range(0, len(kept), batch_size)
        ]
    )
    curves = [
        np.concatenate([found[:1], inner, found[1:2]])
        for inner in found[2:].reshape(len(orders), NUM_STEPS - 1)
    ]
    areas = [float((curve[:-1] + curve[1:]).mean() / 2) for curve in curves]
    return Deletion(
        score=areas[0], random=float(np.mean(areas[1:])), curve=tuple(map(float, curves[0]))
    )
