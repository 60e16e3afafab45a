"""The one evaluation transform: what part of a picture the model sees, and in which numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from recyclenet.core.preprocess import Preprocess
from recyclenet.errors import ModelFileError

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def three_stripes(width: int, height: int) -> np.ndarray:
    """Return red, green and blue stripes along the longer side; green is the middle square."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:] = GREEN
    left, top = max(0, width - height) // 2, max(0, height - width) // 2
    if left:
        image[:, :left], image[:, -left:] = RED, BLUE
    if top:
        image[:top], image[-top:] = RED, BLUE
    return image


def inner(image: np.ndarray) -> np.ndarray:
    """Return all but the border, into which a resize may blend what lies outside."""
    return image[2:-2, 2:-2]


@pytest.mark.parametrize("resize_mode", ["crop", "stretch"])
@given(width=st.integers(1, 90), height=st.integers(1, 90), size=st.integers(16, 48))
def test_any_picture_becomes_a_square_of_floats(resize_mode, width, height, size):
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)
    array = Preprocess(image_size=size, resize_mode=resize_mode)(pixels)
    assert array.shape == (3, size, size)
    assert array.dtype == np.float32
    assert array.flags.c_contiguous
    assert -1 <= array.min() <= array.max() <= 1


@pytest.mark.parametrize(("width", "height"), [(96, 32), (32, 96)])
def test_crop_takes_the_centre_and_stretch_takes_all(width, height):
    image = three_stripes(width, height)
    assert (inner(Preprocess(image_size=32).resize(image)) == GREEN).all()
    stretched = Preprocess(image_size=48, resize_mode="stretch").resize(image)
    first, last = stretched[2, 2], stretched[-3, -3]
    assert (first.tolist(), last.tolist()) == (list(RED), list(BLUE))


def test_crop_keeps_the_shape_of_things():
    image = np.zeros((200, 300, 3), np.uint8)
    image[75:125, 125:175] = 255  # a square in the middle
    resized = Preprocess(image_size=64).resize(image)[..., 0] > 127
    assert np.ptp(np.flatnonzero(resized.any(0))) == np.ptp(np.flatnonzero(resized.any(1))) == 15


def test_shrinking_averages_instead_of_skipping():
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    resized = Preprocess(image_size=32).resize(stripes)
    assert np.abs(inner(resized).astype(int) - 127).max() <= 2


def test_picture_of_the_right_size_is_untouched():
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    np.testing.assert_array_equal(Preprocess(image_size=32).resize(pixels), pixels)


def test_normalise_applies_each_channels_own_figures():
    preprocess = Preprocess(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    pixels = np.array([[[[0, 128, 255]]]], np.uint8)
    array = preprocess.normalise(pixels)
    assert array.shape == (1, 3, 1, 1)
    expected = (np.array([0, 128, 255]) / 255 - preprocess.mean) / np.array(preprocess.std)
    np.testing.assert_allclose(array.ravel(), expected, rtol=1e-5)


def test_batch_is_normalised_like_its_pictures():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)
    preprocess = Preprocess(image_size=16)
    together = preprocess.normalise(pixels)
    np.testing.assert_array_equal(together, np.stack([preprocess.normalise(p) for p in pixels]))


@given(
    size=st.integers(16, 2048),
    resize_mode=st.sampled_from(["crop", "stretch"]),
    mean=st.tuples(*[st.floats(0, 1)] * 3),
    std=st.tuples(*[st.floats(0.01, 1)] * 3),
)
def test_settings_survive_the_model_file(size, resize_mode, mean, std):
    preprocess = Preprocess(image_size=size, resize_mode=resize_mode, mean=mean, std=std)
    stored = json.loads(json.dumps(preprocess.to_dict()))
    assert Preprocess.from_dict(stored) == preprocess


BAD = [
    ("image_size", 15),
    ("image_size", 2049),
    ("image_size", "large"),
    ("image_size", None),
    ("image_size", float("inf")),
    ("image_size", 224.0),
    ("image_size", "224"),
    ("image_size", True),
    ("resize_mode", "pad"),
    ("resize_mode", ["crop"]),
    ("mean", "123"),
    ("mean", ["0.5", "0.5", "0.5"]),
    ("mean", [0.5, 0.5, 1e300]),
    ("mean", [0.5, 0.5, 10**400]),
    ("std", [0.5, 0.5, 1e-300]),
    ("std", [0.5, 0.5, True]),
    ("mean", [0.5, 0.5]),
    ("mean", 0.5),
    ("mean", [0.5, 0.5, float("nan")]),
    ("std", [0.5, 0.5, 0]),
    ("std", [0.5, -0.5, 0.5]),
    ("std", [0.5, 0.5, 0.5, 0.5]),
    ("std", [0.5, 0.5, "x"]),
    ("std", [0.5, 0.5, float("nan")]),
    ("std", [0.5, 0.5, float("inf")]),
]


@pytest.mark.parametrize(("key", "value"), BAD)
def test_unusable_settings_of_a_model_file_are_refused(key, value):
    with pytest.raises(ModelFileError, match="invalid preprocessing"):
        Preprocess.from_dict({**Preprocess().to_dict(), key: value})


@pytest.mark.parametrize("key", ["image_size", "resize_mode", "mean", "std"])
def test_missing_setting_is_refused(key):
    values = Preprocess().to_dict()
    del values[key]
    with pytest.raises(ModelFileError, match=key):
        Preprocess.from_dict(values)


def test_decoder_is_asked_for_no_less_than_the_resize_needs():
    # A picture already smaller than the square would be blown up instead of shrunk.
    preprocess = Preprocess(image_size=100)
    assert preprocess.min_side >= preprocess.image_size
    tall = np.asarray(Image.new("RGB", (preprocess.min_side, 999)))
    assert preprocess.resize(tall).shape == (100, 100, 3)
