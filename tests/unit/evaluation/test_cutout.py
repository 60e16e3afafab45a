"""Cutting out objects whose outline is known."""

from __future__ import annotations

import numpy as np
import pytest

from recyclenet.evaluation.cutout import find_object

HEIGHT, WIDTH = 240, 320
DOWN, ACROSS = np.mgrid[:HEIGHT, :WIDTH]
DISC = (DOWN - 120) ** 2 + (ACROSS - 160) ** 2 < 60**2


def scene(
    inside: np.ndarray = DISC,
    object_colour: tuple[int, int, int] = (40, 90, 160),
    background: np.ndarray | None = None,
) -> np.ndarray:
    """An object on a board that grows darker to the right, with the noise of a camera."""
    board = np.full((HEIGHT, WIDTH, 3), (225, 220, 205)) if background is None else background
    image = board - 0.15 * ACROSS[..., None]
    image[inside] = object_colour
    image = image + np.random.default_rng(0).normal(0, 2, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


def overlap(mask: np.ndarray | None, inside: np.ndarray) -> float:
    """Intersection over union."""
    assert mask is not None
    assert (mask.shape, mask.dtype) == (inside.shape, np.float32)
    assert 0 <= mask.min() <= mask.max() <= 1
    found = mask > 0.5
    return float((found & inside).sum() / (found | inside).sum())


@pytest.mark.parametrize("colour", [(40, 90, 160), (20, 20, 20), (200, 60, 40), (250, 250, 250)])
def test_the_outline_is_found(colour: tuple[int, int, int]) -> None:
    image = scene(object_colour=colour)
    before = image.copy()
    assert overlap(find_object(image), DISC) > 0.93
    np.testing.assert_array_equal(image, before)


def test_a_hole_and_what_lies_at_the_edge_belong_to_the_object() -> None:
    ring = DISC & ((DOWN - 120) ** 2 + (ACROSS - 160) ** 2 > 25**2)
    assert overlap(find_object(scene(ring)), DISC) > 0.93
    bar = (np.abs(DOWN - 120) < 40) & (ACROSS > 100)
    assert overlap(find_object(scene(bar)), bar) > 0.93


def test_a_soft_shadow_is_background() -> None:
    shade = 60 * np.exp(-(((DOWN - 130) / 90) ** 2) - ((ACROSS - 230) / 60) ** 2)
    board = np.array((225, 220, 205)) * (1 - shade / 225)[..., None]
    assert overlap(find_object(scene(background=board)), DISC) > 0.9


def test_size_does_not_matter() -> None:
    large = scene().repeat(4, axis=0).repeat(4, axis=1)
    assert overlap(find_object(large), DISC.repeat(4, axis=0).repeat(4, axis=1)) > 0.93


NOISE = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(float)
LETTERS = DISC & (DOWN % 12 < 3)  # thin lines, as of print on cardboard that fills the photo
CORNER = (DOWN < 80) & (ACROSS < 90)
NOTHING = np.zeros_like(DISC)


@pytest.mark.parametrize(
    "image",
    [
        scene(NOTHING),
        scene(LETTERS),
        scene(CORNER),
        scene(background=NOISE),
        np.zeros((HEIGHT, WIDTH, 3), np.uint8),
        np.full((1, 1, 3), 255, np.uint8),
        scene()[:20],
        scene()[:, :3],
        scene().repeat(12, axis=1),
    ],
    ids=["nothing", "letters", "corner", "noise", "black", "dot", "flat", "narrow", "long"],
)
def test_without_an_object_on_a_plain_background_there_is_no_mask(image: np.ndarray) -> None:
    assert find_object(image) is None
