"""Figures have names that every file system takes, and are recognised as earlier outputs."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from recyclenet.core.outputs import PICTURE
from recyclenet.explanation.figure import figure, figure_names


def test_names_follow_the_photos_and_differ():
    paths = ["a/1.jpg", "b/1.png", "A/x.JPG", "X.png", "1-2.gif", "plain", "", "é" * 300 + ".jpg"]
    names = figure_names(paths)
    assert names[:6] == ["1.png", "1-2.png", "x.png", "X-2.png", "1-2-2.png", "plain.png"]
    assert len({name.casefold() for name in names}) == len(paths)
    assert all(len(name.encode()) < 255 and "/" not in name for name in names)
    assert figure_names(["x/..", "..", "."])[0].endswith(".png")


def test_many_photos_of_one_name_take_no_long_time():
    names = figure_names(f"{number}/photo.jpg" for number in range(20_000))
    assert len(set(names)) == 20_000


def test_images_of_two_sizes_stand_beside_each_other():
    small, large = np.zeros((8, 8, 3), np.uint8), np.full((32, 32, 3), 255, np.uint8)
    content = figure([small, large])
    image = np.asarray(Image.open(io.BytesIO(content)))
    assert image.shape == (8, 16, 3)
    assert not image[:, :8].any()
    assert (image[:, 8:] == 255).all()
    assert PICTURE.matches(io.BytesIO(content))
