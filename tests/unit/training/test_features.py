"""One object's photos have features that are alike; other photos have not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recyclenet.data.quality.duplicates import find_objects
from recyclenet.errors import ImageError
from recyclenet.training.features import photo_features

SAMPLES = sorted((Path(__file__).parents[3] / "samples").glob("*.jpg"))
# Seen by eye: two photos each of one bottle, can or carton, moved or turned in between.
ONE_OBJECT = [
    ("metal304", "metal360"),
    ("plastic342", "plastic350"),
    ("plastic202", "plastic379"),
    ("glass255", "glass438"),
    ("cardboard260", "cardboard365"),
]


def test_a_photos_features_do_not_depend_on_its_company():
    told: list[tuple[int, int]] = []
    some = photo_features(SAMPLES[:3], lambda *counts: told.append(counts))
    assert some.dtype == np.float32
    assert told == [(3, 3)]
    np.testing.assert_allclose(photo_features(SAMPLES[1:2])[0], some[1], rtol=1e-3, atol=1e-4)


def test_a_broken_photo_is_named(tmp_path: Path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"broken\.jpg"):
        photo_features([SAMPLES[0], broken])


@pytest.mark.data
def test_photos_of_one_object_are_found_on_trashnet(trashnet_dir: Path):
    names = [name for pair in ONE_OBJECT for name in pair]
    others = sorted(path.stem for path in trashnet_dir.rglob("*[05].jpg"))[::5]
    names += [name for name in others if name not in names]
    paths = [trashnet_dir / name.rstrip("0123456789") / f"{name}.jpg" for name in names]
    pairs = find_objects(photo_features(paths), min_similarity=0.75)
    found = {(names[first], names[second]) for first, second in pairs}
    assert found >= set(ONE_OBJECT)
    assert len(found) < 20  # of 6,000 pairs
