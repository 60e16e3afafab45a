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
from recyclenet.data.quality.duplicates import with_groups
from recyclenet.data.splits.split import (
    fill_splits,
    find_leaks,
    fold_splits,
    legacy_splits,
    listed_splits,
    parse_ratios,
    read_lists,
    with_splits,
)
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


def test_each_domain_is_divided_by_itself():
    web = [replace(s, domain="web", sha256=f"w{s.sha256}") for s in photos(glass=100)]
    home = [replace(s, domain="home") for s in photos(glass=20)]
    divided = with_splits(Manifest((*web, *home)), 0)
    assert Counter((s.domain, s.split) for s in divided) == {
        ("web", "train"): 70,
        ("web", "val"): 13,
        ("web", "test"): 17,
        ("home", "train"): 14,
        ("home", "val"): 3,
        ("home", "test"): 3,
    }


def test_a_domain_without_splits_gets_some_and_the_others_keep_theirs():
    given_ones = (*photos("train", glass=10), *photos("val", metal=2), *photos("test", paper=3))
    new = [replace(s, domain="new", sha256=f"n{s.sha256}") for s in photos(glass=100)]
    copy = replace(new[0], sha256="paper0")
    divided = with_splits(Manifest((*given_ones, *new, copy)), 0)
    assert divided.samples[:15] == given_ones
    assert divided.samples[-1].split == "test"
    assert {s.split for s in divided.samples[15:]} == {"train", "val", "test"}


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
    with pytest.raises(DataError, match="some rows have no split"):
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


def grouped(manifest: Manifest, size: int) -> Manifest:
    """Give every so many rows of a class a group."""
    return Manifest(
        tuple(replace(s, group=f"{s.label}{n // size}") for n, s in enumerate(manifest))
    )


@given(st.integers(1, 7), st.integers(0, 5))
def test_a_group_is_never_on_two_sides(size, seed):
    divided = fill_splits(grouped(photos(glass=70, metal=35), size), (0.6, 0.2, 0.2), seed)
    sides = {(sample.group, sample.split) for sample in divided}
    assert len(sides) == len({group for group, _ in sides})
    assert find_leaks(divided) == []
    for split, share in (("train", 0.6), ("val", 0.2), ("test", 0.2)):
        found = sum(s.split == split for s in divided if s.label == "glass")
        assert abs(found - 70 * share) <= 2 * size


def test_added_photos_leave_the_others_where_they_are():
    before = fill_splits(photos(glass=50), (0.7, 0.13, 0.17), 0)
    added = Manifest((*before, *photos(metal=20), *photos(glass=120).samples[50:]))
    after = fill_splits(added, (0.7, 0.13, 0.17), 0)
    assert after.samples[:50] == before.samples
    assert Counter(s.split for s in after if s.label == "glass") == {
        "train": 84,
        "val": 16,
        "test": 20,
    }


def test_an_added_copy_follows_its_photo():
    before = fill_splits(photos(glass=50), (0.5, 0.25, 0.25), 0)
    copies = [replace(s, path=Path(f"copy of {s.path}"), split="") for s in before]
    after = fill_splits(Manifest((*before, *copies)), (0.5, 0.25, 0.25), 0)
    assert [s.split for s in after.samples[50:]] == [s.split for s in before]


def test_a_class_of_two_groups_has_something_to_validate_on():
    divided = fill_splits(grouped(photos(glass=10), 5), (0.8, 0.1, 0.1), 0)
    assert Counter(s.split for s in divided) == {"train": 5, "val": 5}


def test_no_validation_where_none_is_wanted():
    divided = fill_splits(photos(glass=50, metal=3), parse_ratios("90/10"), 0)
    assert Counter((s.label, s.split) for s in divided) == {
        ("glass", "train"): 45,
        ("glass", "test"): 5,
        ("metal", "train"): 3,
    }


def test_the_old_way_leaks_and_that_shows():
    manifest = photos(glass=10)
    twins = Manifest(tuple(replace(s, group="pair" if n in (8, 9) else "") for n, s in
                           enumerate(manifest)))  # fmt: skip
    divided = legacy_splits(twins, 0.9)
    assert [s.split for s in divided] == ["train"] * 9 + ["test"]
    assert [(a.path.name, b.path.name) for a, b in find_leaks(divided)] == [
        ("glass8.jpg", "glass9.jpg")
    ]
    copied = with_groups(divided, [(0, 9), (1, 2)])
    assert find_leaks(copied) == [
        (copied.samples[0], copied.samples[9]),
    ]


@pytest.mark.parametrize(
    ("text", "shares"),
    [
        ("70/13/17", (0.70, 0.13, 0.17)),
        ("3:1:1", (0.6, 0.2, 0.2)),
        ("50,25,25", (0.5, 0.25, 0.25)),
        ("90/10", (0.9, 0.0, 0.1)),
    ],
)
def test_ratios_as_people_write_them(text, shares):
    assert parse_ratios(text) == pytest.approx(shares)


@pytest.mark.parametrize("text", ["", "70", "a/b/c", "0/1/1", "1/-1/1", "1/2/3/4", "inf/1/1"])
def test_other_ratios_are_refused(text):
    with pytest.raises(UsageError, match="ratios must look like"):
        parse_ratios(text)


def test_published_lists_decide(tmp_path):
    (tmp_path / "a.txt").write_text("glass1.jpg 1\n\nglass2.jpg 1\n")
    (tmp_path / "b.txt").write_text("glass0.jpg 1\n")
    lists = read_lists([f"train={tmp_path / 'a.txt'}", f"test={tmp_path / 'b.txt'}"])
    divided = listed_splits(photos(glass=5), lists)
    assert splits(divided) == {"glass0.jpg": "test", "glass1.jpg": "train", "glass2.jpg": "train"}
    for wrong, message in (
        ({"train": ["glass9.jpg"]}, "matches 0 photos"),
        ({"train": ["glass1.jpg"], "test": ["glass1.jpg"]}, "is listed for both"),
    ):
        with pytest.raises(DataError, match=message):
            listed_splits(photos(glass=5), wrong)
    for option in ("all=x", "train", f"train={tmp_path / 'none.txt'}"):
        with pytest.raises(UsageError):
            read_lists([option])
