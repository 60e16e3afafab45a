"""Classes as large as each other, and nothing lost or leaked on the way."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recyclenet.data.manifest import Manifest, Sample
from recyclenet.data.splits.balance import cap, class_weights, oversample
from recyclenet.errors import DataError, UsageError


def photos(split: str = "train", **counts: int) -> Manifest:
    return Manifest(
        tuple(
            Sample(Path(f"{label}{i}.jpg"), label, split, f"{label}{i}")
            for label, count in counts.items()
            for i in range(count)
        )
    )


@given(st.integers(1, 30), st.integers(0, 3))
def test_a_cap_keeps_the_rare_and_draws_from_the_common(most, seed):
    manifest = photos(glass=20, trash=5)
    capped = cap(manifest, most, seed)
    assert capped.counts == {"glass": min(20, most), "trash": min(5, most)}
    assert [s for s in manifest if s in set(capped)] == list(capped)
    assert cap(manifest, most, seed) == capped


def test_another_seed_draws_others():
    manifest = photos(glass=50)
    assert cap(manifest, 10, 0) != cap(manifest, 10, 1)


def test_validation_and_test_photos_stay():
    both = Manifest((*photos(glass=9), *photos("val", glass=9), *photos("test", metal=9)))
    splits = Counter(sample.split for sample in cap(both, 2, 0))
    assert splits == {"train": 2, "val": 9, "test": 9}
    more = oversample(both, 20, 0)
    assert Counter(sample.split for sample in more) == {"train": 20, "val": 9, "test": 9}


@given(st.integers(0, 40))
def test_oversampling_repeats_evenly(least):
    manifest = photos(glass=10, trash=3)
    more = oversample(manifest, least, 0)
    wanted = least or 10
    assert more.counts == {"glass": max(10, wanted), "trash": max(3, wanted)}
    times = Counter(sample.path for sample in more if sample.label == "trash")
    assert max(times.values()) - min(times.values()) <= 1
    assert more.samples[: len(manifest)] == manifest.samples


def test_repeating_before_a_split_is_refused():
    with pytest.raises(DataError, match="split"):
        oversample(photos("", glass=3), 9, 0)


def test_a_class_needs_a_photo():
    with pytest.raises(UsageError, match="1 or more"):
        cap(photos(glass=3), 0, 0)


def test_weights_make_classes_count_the_same():
    manifest = photos(glass=30, trash=10)
    weights = class_weights(manifest)
    assert weights["glass"] * 30 == pytest.approx(weights["trash"] * 10)
    assert sum(weights[s.label] for s in manifest) == pytest.approx(len(manifest))
