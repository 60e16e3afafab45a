"""Merging data sets: every photo once, with its domain, and no copy on two sides."""

from __future__ import annotations

import logging
import random
from dataclasses import replace
from pathlib import Path

import pytest

from recyclenet import load_dataset, merge_datasets
from recyclenet.data.manifest import Manifest, Sample
from recyclenet.data.merge import Merge, load_sources, merge, parse_source
from recyclenet.data.splits.split import fill_splits, find_leaks
from recyclenet.errors import UsageError


def phash(number: int) -> str:
    """Hashes of a picture; those of two numbers are far apart."""
    return "-".join([f"{random.Random(number).getrandbits(256):064x}"] * 8)


def photos(domain: str, *numbers: int, split: str = "", label: str = "glass") -> Manifest:
    return Manifest(
        tuple(
            Sample(
                Path(f"{domain}/{n}.jpg"), label, split, f"{n:064x}",
                phash=phash(n), domain=domain,
            )
            for n in numbers
        )
    )  # fmt: skip


def names(merged: Merge) -> list[str]:
    return [sample.path.as_posix() for sample in merged.manifest]


def test_copies_in_two_domains_share_a_group_and_a_split() -> None:
    merged = merge([photos("a", *range(40)), photos("b", 38, 39, *range(50, 90))])
    assert [(one.path.name, other.path.name) for one, other in merged.copies] == [
        ("38.jpg", "38.jpg"),
        ("39.jpg", "39.jpg"),
    ]
    assert len(merged.manifest) == 82
    for seed in range(5):
        assert find_leaks(fill_splits(merged.manifest, (0.4, 0.3, 0.3), seed)) == []
    assert "2 pairs of copies across domains share a group" in merged.notes()[0]


@pytest.mark.parametrize(
    ("first", "second", "left"),
    [
        ("test", "train", ["a/1.jpg", "b/2.jpg"]),
        ("train", "test", ["b/1.jpg", "b/2.jpg"]),
        ("train", "val", ["b/1.jpg", "b/2.jpg"]),
        ("val", "test", ["b/1.jpg", "b/2.jpg"]),
        ("test", "test", ["a/1.jpg", "b/1.jpg", "b/2.jpg"]),
        ("test", "", ["a/1.jpg", "b/1.jpg", "b/2.jpg"]),
    ],
)
def test_a_copy_that_would_leak_is_left_out(first: str, second: str, left: list[str]) -> None:
    merged = merge([photos("a", 1, split=first), photos("b", 1, 2, split=second)])
    assert names(merged) == left
    assert find_leaks(merged.manifest) == []
    assert len(merged.leaks) == 3 - len(left)
    if merged.leaks:
        assert "left out: 1 photos with a copy that another domain keeps" in merged.notes()[0]


def test_a_leak_within_one_data_set_is_its_own_affair() -> None:
    """As in TrashNet's published lists; but a third copy elsewhere is not trained on."""
    own = Manifest((*photos("a", 1, split="train"), *photos("a", 1, split="test")))
    own = Manifest((own.samples[0], replace(own.samples[1], path=Path("a/twin.jpg"))))
    merged = merge([own, photos("b", 1, 2, split="train")])
    assert names(merged) == ["a/1.jpg", "a/twin.jpg", "b/2.jpg"]


def test_without_hashes_copies_are_not_looked_for() -> None:
    bare = Manifest((Sample(Path("c/1.jpg"), "glass", domain="c"),))
    merged = merge([photos("a", 1, split="test"), photos("b", 1, split="train"), bare])
    assert len(merged.manifest) == 3
    assert "did not look for copies" in merged.notes()[0]


def test_groups_of_two_data_sets_stay_apart_though_they_have_one_name() -> None:
    one, other = (
        Manifest(tuple(replace(s, group="1") for s in photos(domain, *numbers)))
        for domain, numbers in (("a", (1, 2)), ("b", (3, 4)))
    )
    groups = [s.group for s in merge([one, other]).manifest]
    assert groups[0] == groups[1] != groups[2] == groups[3]


def test_a_file_in_two_data_sets_is_one_photo(photo_folder: Path) -> None:
    whole = load_dataset(photo_folder)
    tested = Manifest(tuple(replace(s, split="test") for s in whole.samples[:5]))
    rest = Manifest(tuple(replace(s, split="train") for s in whole))
    # A row may be there twice on purpose, as `data balance --oversample` writes it.
    rest = Manifest((*rest.samples, rest.samples[-1]))
    (one,), (other,) = (
        load_sources([f"{name}=x"], lambda _, m=m: m)
        for name, m in (("rest", rest), ("tested", tested))
    )
    merged = merge([one, other])
    assert len(merged.manifest) == len(whole) + 1
    assert [s.split for s in merged.manifest][-5:] == ["test"] * 5
    assert len(merged.repeats) == 5
    assert "left out: 5 photos that another data set lists, too" in merged.notes()[0]


def test_labels_that_differ_in_spelling_only_are_named() -> None:
    merged = merge([photos("a", 1, label="Paper_cup"), photos("b", 2, label="paper cup")])
    assert merged.notes()[-1] == (
        "warning: 'Paper_cup' and 'paper cup' are separate classes; to merge them: "
        "--map 'Paper_cup=paper cup'"
    )


def test_the_domain_is_the_name_or_the_folders_name(photo_folder: Path, tmp_path: Path) -> None:
    plain = load_dataset(photo_folder)
    mixed = Manifest((replace(plain.samples[0], domain="own"), plain.samples[1]))
    texts = ["web=anything", str(tmp_path / "home"), "x/manifest.csv", "mixed.csv"]
    kept = iter([mixed, plain, plain, mixed])
    manifests = load_sources(texts, lambda _: next(kept))
    assert [m.domains for m in manifests] == [("web",), ("home",), ("x",), ("mixed", "own")]


def test_two_folders_of_one_name_need_names() -> None:
    load = {Path("a/photos"): photos("", 1), Path("b/photos"): photos("", 2)}.__getitem__
    with pytest.raises(UsageError, match="2 data sets are called 'photos'; name them"):
        load_sources(["a/photos", "b/photos"], load)
    manifests = load_sources(["p=a/photos", "p=b/photos"], load)  # two parts of one domain
    assert [m.domains for m in manifests] == [("p",), ("p",)]


def test_a_path_may_contain_an_equals_sign(tmp_path: Path) -> None:
    folder = tmp_path / "lr=3"
    folder.mkdir()
    assert parse_source(str(folder)) == ("", folder)
    assert parse_source(f"web={folder}") == ("web", folder)
    for text in ("web=", "=photos"):
        with pytest.raises(UsageError, match="SOURCE or NAME=SOURCE"):
            parse_source(text)


def test_in_python_sources_are_paths_or_datasets(
    photo_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "recyclenet"):
        merged = merge_datasets(
            {"one": photo_folder, "two": photos("", 1, label="can")},
            {"two": {"can": "metal"}, "*": {"paper": "_"}},
        )
    assert merged.counts == {"glass": 12, "metal": 13}
    assert merged.domains == ("one", "two")
    assert "left out: 12 photos of one labelled paper (label map)" in caplog.text
