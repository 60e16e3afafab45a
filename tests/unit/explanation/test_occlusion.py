"""Heatmaps point at what an answer rests on."""

from __future__ import annotations

import numpy as np
import pytest

from recyclenet.core.preprocess import Preprocess
from recyclenet.explanation.occlusion import occlusion_heatmap
from recyclenet.explanation.overlay import overlay

PREPROCESS = Preprocess(image_size=64)


def picture_with_detail(top: int, left: int) -> np.ndarray:
    """Return a grey picture with a 16x16 chequered patch."""
    image = np.full((64, 64, 3), 128, np.uint8)
    patch = (np.indices((16, 16)).sum(0) // 4 % 2 * 255).astype(np.uint8)
    image[top : top + 16, left : left + 16] = patch[..., None]
    return image


def amount_of_detail(batch: np.ndarray) -> np.ndarray:
    """Stand in for a model that is the surer the more contrast it sees."""
    return batch.std(axis=(1, 2, 3)).astype(np.float64)


@pytest.mark.parametrize(("top", "left"), [(0, 0), (0, 48), (24, 24), (48, 8)])
def test_heat_is_where_the_detail_is(top, left):
    heatmap = occlusion_heatmap(picture_with_detail(top, left), PREPROCESS, amount_of_detail)
    assert heatmap.shape == (64, 64)
    assert heatmap.dtype == np.float32
    assert 0 <= heatmap.min() <= heatmap.max() <= 1
    inside = np.zeros((64, 64), bool)
    inside[top : top + 16, left : left + 16] = True
    assert heatmap[inside].mean() > 0.5
    assert heatmap[inside].mean() > 5 * heatmap[~inside].mean()


def test_answer_that_rests_on_nothing_gives_no_heat():
    image = picture_with_detail(0, 0)
    assert not occlusion_heatmap(image, PREPROCESS, lambda batch: np.ones(len(batch))).any()
    # Hiding that only makes the model surer is no reason for its answer.
    surer = occlusion_heatmap(image, PREPROCESS, lambda x: -(abs(x) > 0.9).mean(axis=(1, 2, 3)))
    assert not surer.any()


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_batches_are_bounded_and_change_nothing(batch_size):
    sizes = []

    def score(batch: np.ndarray) -> np.ndarray:
        assert batch.dtype == np.float32
        assert batch.shape[1:] == (3, 64, 64)
        sizes.append(len(batch))
        return amount_of_detail(batch)

    image = picture_with_detail(16, 32)
    heatmap = occlusion_heatmap(image, PREPROCESS, score, batch_size=batch_size)
    np.testing.assert_allclose(
        heatmap, occlusion_heatmap(image, PREPROCESS, amount_of_detail), atol=1e-5
    )
    assert max(sizes) <= batch_size


def test_any_shape_and_the_smallest_model_work():
    image = np.random.default_rng(0).integers(0, 256, (33, 90, 3), np.uint8)
    heatmap = occlusion_heatmap(image, Preprocess(image_size=16), amount_of_detail)
    assert heatmap.shape == (16, 16)


def test_overlay_colours_only_what_matters():
    image = np.zeros((4, 8, 3), np.uint8)
    image[:] = (200, 40, 60)
    heatmap = np.zeros((4, 8), np.float32)
    heatmap[:, 4:] = 1
    shown = overlay(image, heatmap)
    assert shown.shape == image.shape
    assert shown.dtype == np.uint8
    assert (shown[:, :4] == 100).all()  # grey
    red, green, blue = shown[0, 7].astype(int)
    assert red > blue
    assert green > blue
    assert (overlay(np.full((2, 2, 3), 255, np.uint8), np.ones((2, 2), np.float32)) > 0).all()
