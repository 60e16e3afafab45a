"""Changed copies: other pictures of the same thing, that stay with their photo."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image

from recyclenet.core.images import decode_image
from recyclenet.data.manifest import Manifest, Sample
from recyclenet.data.merge import with_domain
from recyclenet.data.quality.scan import scan_dataset
from recyclenet.data.splits.split import fill_splits, find_leaks
from recyclenet.errors import ImageError, UsageError
from recyclenet.training.augment import GROUPS, change, write_copies
from recyclenet.training.recipe import ChangeGroup


@pytest.fixture
def picture() -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
    return Image.fromarray(noise).resize((96, 72))


def test_recipes_know_the_same_groups():
    assert set(get_args(ChangeGroup)) == set(GROUPS)


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_changes_as_often_as_it_should(picture, group):
    torch.manual_seed(0)
    before = np.asarray(picture)

    def share(probability: float, times: int = 40) -> float:
        results = [np.asarray(change(picture, group, probability)) for _ in range(times)]
        assert all(r.shape == before.shape and r.dtype == np.uint8 for r in results)
        return sum(not np.array_equal(before, r) for r in results) / times

    assert share(0.0) == 0
    assert share(1.0) > 0.9
    assert 0 < share(0.1) < 0.6


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("size", [(1, 1), (2, 40), (4, 4), (20, 20), (21, 21)])
def test_tiny_pictures_change_too(group, size):
    torch.manual_seed(0)
    tiny = Image.new("RGB", size, "green")
    assert all(change(tiny, group, 1.0).size == size for _ in range(40))


def test_every_photo_has_a_copy_of_each_group(photo_folder, tmp_path):
    scanned = with_domain(scan_dataset(photo_folder).manifest, "web")
    manifest = fill_splits(scanned, (0.7, 0.15, 0.15), 0)
    calls: list[tuple[int, int]] = []
    more = write_copies(
        manifest, ["affine", "flips"], 0.9, tmp_path / "a", 0, lambda *n: calls.append(n)
    )
    num_train = sum(sample.split == "train" for sample in manifest)
    assert Counter(s.split for s in more)["train"] == 3 * num_train
    assert calls[-1] == (2 * num_train, 2 * num_train)
    copies = more.samples[len(manifest) :]
    assert len({copy.path for copy in copies}) == len(copies)
    originals = {str(s.path): s for s in more.samples[: len(manifest)]}
    for copy in copies:
        original = originals[copy.source]
        assert copy.group == original.group != ""
        assert copy.label == original.label
        assert copy.domain == original.domain == "web"
        assert decode_image(copy.path).shape == decode_image(original.path).shape
    # Divided anew, a photo and its copies still are on one side.
    blank = Manifest(tuple(replace(sample, split="") for sample in more))
    assert find_leaks(fill_splits(blank, (0.5, 0.25, 0.25), 1)) == []


def test_the_same_seed_makes_the_same_files(photo_folder, tmp_path):
    manifest = Manifest(scan_dataset(photo_folder).manifest.samples[:4])
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_copies(manifest, ["affine"], 0.9, tmp_path / name, seed)
    files = [
        [path.read_bytes() for path in sorted((tmp_path / name).rglob("*.jpg"))] for name in "abc"
    ]
    assert files[0] == files[1] != files[2]


def test_nothing_is_overwritten(photo_folder, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="not an empty folder"):
        write_copies(scan_dataset(photo_folder).manifest, ["flips"], 0.5, tmp_path, 0)


@pytest.mark.parametrize("label", ["../out", "a/b", ".."])
def test_a_label_leads_nowhere_else(photo_folder, tmp_path, label):
    photo = next(Path(photo_folder / "glass").iterdir())
    with pytest.raises(UsageError, match="cannot name a folder"):
        write_copies(Manifest((Sample(photo, label),)), ["flips"], 0.5, tmp_path / "a", 0)


@pytest.mark.parametrize("kind", ["missing", "pipe"])
def test_what_is_no_photo_ends_in_one_line(kind, photo_folder, tmp_path):
    path = tmp_path / "x.jpg"
    if kind == "pipe":
        os.mkfifo(path)
    photos = Manifest((Sample(next(photo_folder.glob("glass/*")), "glass"), Sample(path, "glass")))
    with pytest.raises(ImageError, match=r"cannot read .*x\.jpg"):
        write_copies(photos, ["flips"], 0.5, tmp_path / "copies", 0)
    assert not (tmp_path / "copies").exists()


def test_by_force_copies_lie_among_other_files_but_replace_no_photo_of_the_dataset(
    photo_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    manifest = scan_dataset(photo_folder).manifest
    more = write_copies(manifest, ["flips"], 0.5, tmp_path, 0, force=True)
    copies = [sample for sample in more if sample.source]
    assert len(copies) == len(manifest)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    before = copies[0].path.read_bytes()
    both = Manifest((manifest.samples[0], replace(copies[0], split="test")))
    with pytest.raises(UsageError, match="is a photo of the manifest"):
        write_copies(both, ["flips"], 0.5, tmp_path, 1, force=True)
    assert copies[0].path.read_bytes() == before
