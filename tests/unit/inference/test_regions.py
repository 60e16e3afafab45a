"""Windows, and what stands out from a background."""

from __future__ import annotations

import numpy as np
import pytest

from recyclenet.core.detection import Box
from recyclenet.inference.regions import MAX_WINDOWS, look, windows


@pytest.mark.parametrize(
    ("width", "height"), [(640, 480), (480, 640), (300, 300), (20_000, 300), (40, 9000), (1, 1)]
)
def test_windows_cover_the_photo_and_their_number_is_bounded(width: int, height: int) -> None:
    found = windows(width, height)
    assert len(found) <= MAX_WINDOWS
    for box in found:
        assert box.left >= 0
        assert box.top >= 0
        assert box.right <= width + 1e-6
        assert box.bottom <= height + 1e-6
    if min(width, height) >= 16:
        assert max(box.right for box in found) == pytest.approx(width)
        assert max(box.bottom for box in found) == pytest.approx(height)
    else:
        assert found == []  # nothing can be seen in a part of it


def scene(seed: int = 0) -> np.ndarray:
    """A background whose light falls off, with some noise."""
    light = np.linspace(200, 150, 320)[None, :, None] * np.ones((240, 1, 3))
    noise = np.random.default_rng(seed).normal(0, 3, light.shape)
    return (light + noise).clip(0, 255).astype(np.uint8)


def test_what_stands_out_has_a_box() -> None:
    image = scene()
    image[40:100, 30:110] = (40, 90, 40)
    image[130:200, 200:280] = (90, 40, 40)
    found = look(image)
    assert found.is_plain
    boxes = sorted(part.box for part in found.parts)
    for box, truth in zip(boxes, [Box(30, 40, 110, 100), Box(200, 130, 280, 200)], strict=True):
        assert box.overlap(truth) > 0.8


def test_nothing_stands_out_from_an_empty_background() -> None:
    found = look(scene())
    assert found.is_plain
    assert found.parts == ()


def test_an_object_at_the_edge_stands_out() -> None:
    image = scene()
    image[60:180, 0:90] = (40, 90, 40)
    (part,) = look(image).parts
    assert part.box.overlap(Box(0, 60, 90, 180)) > 0.8


def test_objects_that_touch_are_one_part_and_its_pieces() -> None:
    image = scene()
    rows, columns = np.mgrid[0:240, 0:320]
    for x in (100, 200):
        image[(rows - 120) ** 2 + (columns - x) ** 2 < 52**2] = (40, 90, 40)
    (part,) = look(image).parts
    assert part.box.overlap(Box(48, 68, 252, 172)) > 0.8
    pieces = sorted(part.pieces)
    assert len(pieces) == 2
    assert pieces[0].overlap(Box(48, 68, 152, 172)) > 0.7
    assert pieces[1].overlap(Box(148, 68, 252, 172)) > 0.7


def test_a_border_of_many_colours_is_not_plain() -> None:
    blocks = np.random.default_rng(1).integers(0, 256, (12, 16, 3), np.uint8)
    found = look(np.kron(blocks, np.ones((20, 20, 1), np.uint8)))
    assert not found.is_plain


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (8, 8), (5000, 2)])
def test_photos_too_small_to_tell(shape: tuple[int, int]) -> None:
    assert look(np.zeros((*shape, 3), np.uint8)).parts == ()
