"""Brightness, size and blur of photos."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from recyclenet.data.quality.looks import blurriness, measure_looks


def test_brightness_and_size():
    looks = measure_looks(np.full((30, 40, 3), 51, np.uint8), 4_000_000)
    assert (looks.brightness, looks.megapixels, looks.blur) == (pytest.approx(0.2), 4, 0)
    assert measure_looks(np.zeros((1, 1, 3), np.uint8)).megapixels is None


def test_a_blurred_picture_is_blurrier():
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    sharp = Image.fromarray(noise).resize((640, 480), Image.Resampling.NEAREST)
    blurred = sharp.filter(ImageFilter.GaussianBlur(12))
    one, other = (measure_looks(np.asarray(picture)) for picture in (sharp, blurred))
    assert 0 < one.blur < other.blur - 0.1 < 1
    assert one.brightness == pytest.approx(other.brightness, abs=0.02)


@pytest.mark.parametrize("shape", [(120, 90), (3, 5), (1, 40), (1, 1)])
def test_blur_agrees_with_scipys_filter(shape):
    ndimage = pytest.importorskip("scipy.ndimage")
    grey = np.random.default_rng(1).uniform(0, 255, shape).astype(np.float32)
    found = [0.0]
    for axis in (0, 1):
        edges = np.abs(np.diff(grey, axis=axis))
        left = np.abs(np.diff(ndimage.uniform_filter1d(grey, 11, axis=axis), axis=axis))
        if edges.any():
            found.append(1 - float(np.maximum(0, edges - left).sum() / edges.sum()))
    assert blurriness(grey) == pytest.approx(max(found), abs=1e-4)
