"""The deletion score is low for a heatmap that marks what the answer rests on."""

from __future__ import annotations

import numpy as np
import pytest

from recyclenet.core.preprocess import Preprocess
from recyclenet.explanation.deletion import NUM_STEPS, measure_deletion

PREPROCESS = Preprocess(image_size=56)
WHITE = np.full((56, 56, 3), 255, np.uint8)


def corner(batch: np.ndarray) -> np.ndarray:
    """Stand in for a model whose answer depends on the top left corner only."""
    return np.clip(batch[:, :, :14, :14].mean(axis=(1, 2, 3)), 0, 1).astype(np.float64)


def heat(top: int, left: int, side: int = 56) -> np.ndarray:
    """Return a heatmap with one hot square."""
    heatmap = np.zeros((side, side), np.float32)
    heatmap[top : top + 14, left : left + 14] = 1
    return heatmap


def test_a_faithful_heatmap_scores_below_chance_and_a_wrong_one_above():
    right = measure_deletion(WHITE, heat(0, 0), PREPROCESS, corner)
    wrong = measure_deletion(WHITE, 1 - heat(0, 0), PREPROCESS, corner)
    assert right.score < 0.1 < right.random < 0.9 < wrong.score
    assert right.random == wrong.random  # the same random heatmaps for every method
    assert len(right.curve) == NUM_STEPS + 1
    assert (right.curve[0], right.curve[-1]) == (1, 0)


def test_an_answer_that_depends_on_nothing_has_a_flat_curve():
    flat = measure_deletion(WHITE, heat(0, 0), PREPROCESS, lambda batch: np.full(len(batch), 0.25))
    assert (flat.score, flat.random) == (0.25, 0.25)


def test_a_heatmap_of_zeros_is_no_better_than_chance():
    """Cells of the same heat go in random order, not from the top left."""
    empty = measure_deletion(WHITE, np.zeros((56, 56), np.float32), PREPROCESS, corner)
    assert empty.score > 0.3


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_batches_are_bounded_and_change_nothing(batch_size):
    sizes = []

    def score(batch: np.ndarray) -> np.ndarray:
        assert batch.dtype == np.float32
        sizes.append(len(batch))
        return corner(batch)

    found = measure_deletion(WHITE, heat(0, 0), PREPROCESS, score, batch_size=batch_size)
    assert found == measure_deletion(WHITE, heat(0, 0), PREPROCESS, corner)
    assert max(sizes) <= batch_size
    assert sum(sizes) == 56


@pytest.mark.parametrize("side", [16, 33])
def test_any_size_of_input_works(side):
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    found = measure_deletion(
        image,
        heat(0, 0, side),
        Preprocess(image_size=side),
        lambda batch: (abs(batch) > 1e-6).mean(axis=(1, 2, 3)).astype(np.float64),
    )
    # What is removed has the mean colour.
    np.testing.assert_allclose(found.curve, np.linspace(1, 0, NUM_STEPS + 1), atol=0.06)
