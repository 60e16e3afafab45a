"""Figures that are right to the last pixel, and a page that shows them."""

from __future__ import annotations

import base64
import random
import re

import numpy as np
import pytest
from PIL import Image

from recyclenet.core.images import decode_image
from recyclenet.data.manifest import Manifest
from recyclenet.data.quality.inspect import measure
from recyclenet.data.quality.plots import inspection_page
from recyclenet.data.quality.scan import scan_dataset
from recyclenet.errors import UsageError


def test_mean_and_deviation_are_those_of_all_pixels(photo_folder):
    manifest = scan_dataset(photo_folder).manifest
    found = measure(manifest)
    pixels = np.concatenate([decode_image(s.path).reshape(-1, 3) for s in manifest]) / 255
    assert found.num_pixels == len(pixels)
    assert found.mean == pytest.approx(pixels.mean(0), abs=1e-12)
    assert found.std == pytest.approx(pixels.std(0), abs=1e-9)


def test_the_order_changes_nothing(photo_folder):
    samples = list(scan_dataset(photo_folder).manifest)
    first = measure(Manifest(tuple(samples)))
    random.Random(0).shuffle(samples)
    again = measure(Manifest(tuple(samples)))
    assert (first.mean, first.std) == (again.mean, again.std)
    assert np.array_equal(first.mean_image, again.mean_image)


def test_one_colour_has_no_deviation(tmp_path):
    (tmp_path / "glass").mkdir()
    Image.new("RGB", (50, 30), (0, 51, 255)).save(tmp_path / "glass" / "a.png")
    found = measure(scan_dataset(tmp_path).manifest)
    assert found.mean == (0.0, 0.2, 1.0)
    assert found.std == (0.0, 0.0, 0.0)
    assert (found.mean_image == [0, 51, 255]).all()


def test_nothing_to_measure_is_an_error():
    with pytest.raises(UsageError, match="no photos"):
        measure(Manifest(()))


def test_the_page_has_every_picture_in_it(tmp_path, photo_folder):
    (tmp_path / "set").mkdir()
    for label, name in (("glass", "玻璃 <b>"), ("metal", "metal")):
        (tmp_path / "set" / name).symlink_to(photo_folder / label)
    manifest = scan_dataset(tmp_path / "set").manifest
    page = inspection_page(manifest, measure(manifest), "a <set>", 2)
    assert "24 photos of 2 classes; 2 cannot be read" in page
    assert "<set>" not in page
    pictures = re.findall(r'src="data:image/(png|jpeg);base64,([^"]+)"', page)
    assert [kind for kind, _ in pictures] == ["png", "png", "png", "jpeg"]
    sides = [decode_image(base64.b64decode(content)).shape for _, content in pictures]
    assert min(min(side[:2]) for side in sides) > 100
    assert "http:" not in page
    assert "https:" not in page
