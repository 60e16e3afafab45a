"""Dividing photos: fair to every class, the same each time, and never one photo on two sides."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recyclenet.data.manifest import Manifest, Sample
from recyclenet.data.split import fold_splits, with_splits
from recyclenet.errors import DataError, UsageError


def photos(split: str = "", **counts: int) -> Manifest:
    return Manifest(
        tuple(
            Sample(Path(f"{label}{i}.jpg"), label, split, f"{label}{i}")
            for label, count in counts.items()
            for i in range(count)
        )
    )


def splits(manifest: Manifest) -> dict[str, str]:
    return {sample.path.name: sample.split for sample in manifest}


def test_each_class_is_divided_70_13_17():
    divided = with_splits(photos(glass=100, metal=1000), 0)
    assert Counter((s.label, s.split) for s in divided) == {
        ("glass", "train"): 70,
        ("glass", "val"): 13,
        ("glass", "test"): 17,
        ("metal", "train"): 700,
        ("metal", "val"): 130,
        ("metal", "test"): 170,
    }


@given(st.integers(1, 40), st.integers(0, 5))
def test_small_classes_keep_a_photo_to_train_on(count, seed):
    divided = with_splits(photos(glass=count), seed)
    assert len(divided) == count
    counts = Counter(s.split for s in divided)
    assert counts["train"] >= 1
    assert set(counts) <= {"train", "val", "test"}
    if count > 1:
        assert counts["val"] >= 1


def test_same_seed_same_splits_whatever_the_order_and_place():
    manifest = photos(glass=60, metal=60)
    first = with_splits(manifest, 7)
    rows = [replace(sample, path=Path("/elsewhere") / sample.path) for sample in manifest]
    random.Random(0).shuffle(rows)
    assert splits(with_splits(Manifest(tuple(rows)), 7)) == splits(first)
    assert splits(with_splits(manifest, 8)) != splits(first)
    assert [s.path for s in first] == [s.path for s in manifest]


def test_a_new_class_does_not_reshuffle_the_old_ones():
    before, after = photos(glass=50), photos(glass=50, metal=50)
    assert splits(with_splits(before, 1)).items() <= splits(with_splits(after, 1)).items()


@given(
    st.lists(st.tuples(st.integers(0, 12), st.sampled_from("ab")), min_size=1), st.integers(0, 9)
)
def test_copies_of_one_photo_stay_together_even_under_two_labels(rows, seed):
    manifest = Manifest(
        tuple(
            Sample(Path(f"{i}.jpg"), label, "", f"digest {digest}")
            for i, (digest, label) in enumerate(rows)
        )
    )
    divided = with_splits(manifest, seed)
    for digest in {sample.sha256 for sample in divided}:
        assert len({sample.split for sample in divided if sample.sha256 == digest}) == 1


def test_splits_that_are_there_are_kept():
    manifest = Manifest((*photos("train", a=5), *photos("val", b=2), *photos("test", c=3)))
    assert with_splits(manifest, 0) == manifest


def test_validation_photos_come_out_of_the_training_photos_only():
    manifest = Manifest((*photos("train", glass=83), *photos("test", metal=17)))
    divided = with_splits(manifest, 0)
    assert Counter((s.label, s.split) for s in divided) == {
        ("glass", "train"): 70,
        ("glass", "val"): 13,
        ("metal", "test"): 17,
    }


def test_unclear_splits_are_refused():
    with pytest.raises(DataError, match="some rows have a split and some have none"):
        with_splits(Manifest((*photos("train", a=1), *photos("", b=1))), 0)
    with pytest.raises(DataError, match="'train'"):
        with_splits(photos("test", a=3), 0)


def test_names_that_are_no_utf8_can_be_divided():
    manifest = Manifest(tuple(Sample(Path(f"\udcff{i}.jpg"), "glass") for i in range(9)))
    assert with_splits(manifest, 0).has_splits


def test_every_photo_validates_in_one_fold_and_test_photos_in_none():
    rows = [*photos(glass=20, metal=11), *photos("test", paper=5)]
    rows.append(replace(rows[0], path=Path("copy.jpg"), label="metal"))
    folds = fold_splits(Manifest(tuple(rows)), 5, 0)
    validated = [s.path for fold in folds for s in fold.select("val")]
    assert sorted(validated) == sorted(s.path for s in rows if s.split != "test")
    for fold in folds:
        assert len(fold) == 32
        assert 4 <= fold.select("val").counts["glass"] <= 5
        of_copy = {s.split for s in fold if s.sha256 == "glass0"}
        assert len(of_copy) == 1  # the same bytes are never on both sides
    assert folds == fold_splits(Manifest(tuple(rows)), 5, 0)
    assert folds != fold_splits(Manifest(tuple(rows)), 5, 1)


def test_folds_that_cannot_be_are_refused():
    with pytest.raises(UsageError, match="2 folds or more"):
        fold_splits(photos(glass=5), 1, 0)
    with pytest.raises(DataError, match="5 photos of 'metal'"):
        fold_splits(photos(glass=5, metal=4), 5, 0)
