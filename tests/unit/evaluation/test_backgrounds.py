"""Other backgrounds: the object stays, the rest does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recyclenet.data.manifest import Sample
from recyclenet.evaluation.backgrounds import background_change

SAMPLE = Sample(Path("glass/a.jpg"), "glass")
DOWN, ACROSS = np.mgrid[:120, :160]
NEAR = (DOWN - 60) ** 2 + (ACROSS - 80) ** 2
IMAGE = np.where((NEAR < 40**2)[..., None], (180, 40, 30), (230, 228, 220)).astype(np.uint8)
INSIDE, OUTSIDE = NEAR < 36**2, NEAR > 46**2


def test_the_object_stays_and_the_background_changes() -> None:
    change = background_change()
    results = change(IMAGE, SAMPLE, 0)
    assert change.strengths == ("own colour", "gradient", "texture", "clutter")
    for image in results:
        assert (image.shape, image.dtype) == (IMAGE.shape, np.uint8)
        np.testing.assert_array_equal(image[INSIDE], IMAGE[INSIDE])
    own, *others = results
    np.testing.assert_array_equal(own[OUTSIDE], IMAGE[OUTSIDE])
    for image in others:
        assert np.abs(image[OUTSIDE].astype(int) - IMAGE[OUTSIDE]).mean() > 10
    assert len({image.tobytes() for image in results}) == 4


def test_seed_and_name_decide() -> None:
    change = background_change()
    clutter = change(IMAGE, SAMPLE, 0)[3]
    np.testing.assert_array_equal(change(IMAGE, SAMPLE, 0)[3], clutter)
    other = Sample(Path("glass/b.jpg"), "glass")
    assert not np.array_equal(change(IMAGE, other, 0)[3], clutter)
    assert not np.array_equal(change(IMAGE, SAMPLE, 1)[3], clutter)


def test_backgrounds_of_any_size_fill_the_photo() -> None:
    photos = [np.full(shape, 7, np.uint8) for shape in ((1, 1, 3), (300, 2, 3), (500, 900, 3))]
    change = background_change(photos)
    assert change.strengths == ("own colour", "own photos")
    for number in range(6):
        _, image = change(IMAGE, Sample(Path(f"{number}.jpg"), "glass"), 0)
        assert (image[OUTSIDE] == 7).all()
        np.testing.assert_array_equal(image[INSIDE], IMAGE[INSIDE])


def test_without_an_object_nothing_is_made() -> None:
    assert background_change()(np.zeros_like(IMAGE), SAMPLE, 0) == ()
    assert background_change()(np.zeros((1, 1, 3), np.uint8), SAMPLE, 0) == ()
