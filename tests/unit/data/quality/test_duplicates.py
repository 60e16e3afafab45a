"""Copies of a picture are one picture; different pictures are not."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageOps

from recyclenet.core.images import decode_image
from recyclenet.data.manifest import Manifest, Sample
from recyclenet.data.quality.duplicates import (
    Pair,
    find_objects,
    find_pairs,
    is_copy,
    perceptual_hashes,
    with_groups,
)
from recyclenet.errors import DataError


def scene(seed: int) -> Image.Image:
    """Return a picture with large and small shapes, unlike that of any other seed."""
    noise = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
    return Image.fromarray(noise).resize((320, 240), Image.Resampling.BICUBIC)


def row(name: str, image: Image.Image, **fields: str) -> Sample:
    return Sample(
        Path(name), "glass", sha256=name, phash=perceptual_hashes(np.asarray(image)), **fields
    )


def shrunk_and_recompressed(image: Image.Image) -> Image.Image:
    content = io.BytesIO()
    image.resize((150, 113)).save(content, "JPEG", quality=50)
    return Image.fromarray(decode_image(content.getvalue()))


def test_copies_are_found_and_nothing_else():
    scenes = [scene(seed) for seed in range(40)]
    rows = [row(f"{number}.jpg", image) for number, image in enumerate(scenes)]
    rows += [
        row("small", shrunk_and_recompressed(scenes[3])),
        row("mirrored", ImageOps.mirror(scenes[5])),
        row("upside down", ImageOps.flip(scenes[6])),
        row("turned", shrunk_and_recompressed(scenes[7].rotate(180))),
    ]
    pairs = find_pairs(Manifest(tuple(rows)))
    assert [(p.rows, p.turned) for p in pairs] == [
        ((3, 40), False),
        ((5, 41), True),
        ((6, 42), True),
        ((7, 43), True),
    ]


@pytest.mark.parametrize("turn", list(Image.Transpose))
def test_copies_are_found_however_they_are_turned(turn):
    rows = [row(str(number), scene(number)) for number in range(10)]
    turned = shrunk_and_recompressed(scene(3)).transpose(turn)
    rows.append(row("turned", turned))
    assert [p.rows for p in find_pairs(Manifest(tuple(rows)))] == [(3, 10)]
    assert is_copy(rows[-1].phash, [sample.phash for sample in rows[:-1]])
    assert not is_copy(rows[0].phash, [sample.phash for sample in rows[1:]])


FLAT = {
    "white": Image.new("RGB", (320, 240), "white"),
    "black": Image.new("RGB", (240, 320)),
    "blue": Image.new("RGB", (300, 300), (20, 40, 200)),
    "grain": Image.fromarray(
        np.random.default_rng(0).integers(245, 256, (240, 320, 3)).astype(np.uint8)
    ),
}


@pytest.mark.parametrize("mine", FLAT)
@pytest.mark.parametrize("other", FLAT)
def test_featureless_pictures_are_no_copies(mine, other):
    rows = (row("a", FLAT[mine]), row("b", scene(0)), row("c", FLAT[other]))
    assert not find_pairs(Manifest(rows))
    assert not is_copy(rows[0].phash, [rows[1].phash, rows[2].phash])


def test_hashes_of_earlier_versions_are_compared_by_what_they_have():
    rows = [row(str(number), scene(number)) for number in range(5)]
    rows += [
        row("mirrored", ImageOps.mirror(scene(2))),
        row("turned", scene(3).transpose(Image.Transpose.ROTATE_90)),
    ]
    rows[0] = replace(rows[0], phash="-".join(rows[0].phash.split("-")[:4]))
    flat = "-".join(["8" + "0" * 63] * 4)  # as they wrote a white sheet
    rows += [replace(row("w", scene(9)), phash=flat), replace(row("v", scene(8)), phash=flat)]
    assert [p.rows for p in find_pairs(Manifest(tuple(rows)))] == [(2, 5)]
    assert is_copy(rows[5].phash, [rows[0].phash, rows[2].phash])


@pytest.mark.parametrize("seed", range(5))
def test_the_hashes_are_those_of_imagehash(seed):
    image = scene(seed)
    small = image.convert("L").resize((64, 64), Image.Resampling.LANCZOS)
    upside_down = ImageOps.flip(small)
    views = [small, ImageOps.mirror(small), upside_down, ImageOps.mirror(upside_down)]
    views += [view.transpose(Image.Transpose.TRANSPOSE) for view in views]
    expected = "-".join(str(imagehash.phash(view, 16)) for view in views)
    assert perceptual_hashes(np.asarray(image)) == expected


def test_many_equal_pictures_cost_no_more_than_one():
    same = row("a", scene(0))
    rows = [replace(same, path=Path(str(number))) for number in range(3000)]
    pairs = find_pairs(Manifest(tuple(rows)))
    assert pairs == [Pair((0, number), 0) for number in range(1, 3000)]


def test_blocks_meet():
    rows = [row(str(number), scene(number)) for number in range(70)]
    rows.append(row("copy", shrunk_and_recompressed(scene(1))))
    assert [p.rows for p in find_pairs(Manifest(tuple(rows)))] == [(1, 70)]


def test_groups_follow_chains_and_keep_old_ones():
    rows = [Sample(Path(str(n)), "glass", sha256=f"{n:064}") for n in range(6)]
    rows[4] = replace(rows[4], group="mine")
    rows[5] = replace(rows[5], group="mine")
    grouped = with_groups(Manifest(tuple(rows)), [(0, 2), (2, 4)])
    groups = [sample.group for sample in grouped]
    assert groups[0] == groups[2] == groups[4] == groups[5] == f"{0:064}"[:16]
    assert groups[1] == groups[3] == ""


@pytest.mark.parametrize("phash", ["", "12-34", "z" * 64, "0" * 259, "-".join(["0" * 64] * 5)])
def test_hashes_of_another_kind_are_refused(phash):
    rows = (row("a", scene(0)), Sample(Path("b"), "glass", phash=phash))
    with pytest.raises(DataError, match="scan"):
        find_pairs(Manifest(rows))


def test_photos_of_one_object_are_joined_across_blocks():
    random = np.random.default_rng(0)
    features = random.normal(5, 1, (2500, 64)).astype(np.float32)
    features[2400] = features[3] + random.normal(0, 0.3, 64)
    features[2401] = features[2100] + random.normal(0, 0.3, 64)
    assert sorted(find_objects(features, 0.8)) == [(3, 2400), (2100, 2401)]


def test_photos_that_cannot_be_told_apart_have_no_similarity():
    assert not list(find_objects(np.ones((3, 8), np.float32), 0.8))
