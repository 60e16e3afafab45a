"""Changes of photos: deterministic, of the same size, and what their names say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recyclenet.data.manifest import Sample
from recyclenet.evaluation.changes import CHANGES, Change, shrunk

SAMPLE = Sample(Path("photos/glass/a.jpg"), "glass")
BY_NAME = {change.name: change for change in CHANGES}


def picture(height: int = 90, width: int = 120) -> np.ndarray:
    """A white disc in the middle of a dark, noisy picture."""
    rows, columns = np.mgrid[:height, :width]
    disc = (rows - height / 2) ** 2 + (columns - width / 2) ** 2 < (height / 4) ** 2
    image = np.random.default_rng(0).integers(40, 60, (height, width, 3))
    image[disc] = 230
    return image.astype(np.uint8)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_each_strength_changes_more_and_the_same_way_again(change: Change) -> None:
    image = picture()
    before = image.copy()
    results = change(image, SAMPLE, 0)
    np.testing.assert_array_equal(image, before)
    assert len(set(change.strengths)) == len(results) == 3
    again = change(image, Sample(Path("other/place/a.jpg"), "glass"), 0)
    for first, second in zip(results, again, strict=True):
        assert (first.shape, first.dtype) == (image.shape, np.uint8)
        np.testing.assert_array_equal(first, second)
    far = [np.abs(result.astype(int) - image).mean() for result in results]
    assert far == sorted(far) if change.name != "rotation" else min(far) > 0
    assert far[0] > 0


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 2)])
def test_any_size_of_picture(change: Change, shape: tuple[int, int]) -> None:
    for result in change(picture(*shape), SAMPLE, 0):
        assert result.shape == (*shape, 3)


def test_the_seed_and_the_name_decide_the_place() -> None:
    cover = BY_NAME["occlusion"]
    others = [Sample(Path(f"{number}.jpg"), "glass") for number in range(8)]
    assert len({cover(picture(), sample, 0)[0].tobytes() for sample in others}) == 8
    assert len({cover(picture(), SAMPLE, seed)[0].tobytes() for seed in range(8)}) == 8


def test_the_square_covers_its_share() -> None:
    image = np.zeros((100, 140, 3), np.uint8)
    covered = BY_NAME["occlusion"](image, SAMPLE, 0)[1]
    rows, columns = np.nonzero(covered[..., 0])
    assert len(rows) == 50 * 50
    assert 20 <= columns.min() < columns.max() < 120


def test_light_and_scale() -> None:
    image = np.full((60, 60, 3), 100, np.uint8)
    assert BY_NAME["overexposure"](image, SAMPLE, 0)[0][0, 0, 0] == round(100 * 2 ** (1 / 2.2))
    assert BY_NAME["underexposure"](image, SAMPLE, 0)[0][0, 0, 0] == round(100 / 2 ** (2 / 2.2))
    small = BY_NAME["scale"](picture(), SAMPLE, 0)[1]
    assert 3.5 < (picture() > 200).sum() / (small > 200).sum() < 4.5


def test_large_photos_are_shrunk_first() -> None:
    assert shrunk(picture(90, 120), 90).shape == (90, 120, 3)
    assert shrunk(picture(90, 120), 45).shape == (45, 60, 3)
    assert shrunk(picture(300, 2), 45).shape == (300, 2, 3)
