"""Contact sheets show what they name, in Chinese too."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from recyclenet.core.images import decode_image
from recyclenet.data.manifest import Sample
from recyclenet.data.quality.clean import Issue
from recyclenet.data.quality.sheet import HEIGHT, Tile, sheet_png, write_issues


def ink(sheet: bytes) -> np.ndarray:
    """Return what is written below the only picture, as dark or not."""
    return pixels(sheet).mean(2)[HEIGHT + 6 :] < 128


def pixels(sheet: bytes | Path) -> np.ndarray:
    return decode_image(sheet)


def test_chinese_is_written_and_not_boxed(photo_folder):
    photo = next((photo_folder / "glass").iterdir())
    written = []
    for text in ("玻璃", "纸箱", "a" * 400):
        written.append(ink(sheet_png([Tile(photo, (text,), "red")])))
    assert all(area.any() for area in written)
    # Boxes in place of characters would all look the same.
    assert not np.array_equal(written[0], written[1])
    assert not written[2][:, -4:].any()  # cut to its width


def test_a_photo_that_cannot_be_read_has_an_empty_frame(tmp_path):
    assert pixels(sheet_png([Tile(tmp_path / "none.jpg", ("none\n",))])).shape[1] > 100


def test_issues_are_a_table_and_a_sheet_each(tmp_path, photo_folder):
    first, second = (Sample(p, "glass") for p in sorted((photo_folder / "glass").iterdir())[:2])
    issues = [Issue(first, "dark", "score 0.1"), Issue(second, "duplicate", "same bytes", first)]
    files = write_issues(issues, ["dark"], tmp_path / "report")
    assert [path.name for path in files] == ["issues.csv", "dark.png", "duplicate.png"]
    rows = list(csv.DictReader((tmp_path / "report" / "issues.csv").read_text().splitlines()))
    assert [row["kind"] for row in rows] == ["dark", "duplicate"]
    assert rows[1]["other"] == str(first.path)
    one, two = (pixels(path) for path in files[1:])
    assert two.shape[1] == 2 * one.shape[1]  # a copy stands beside what it is a copy of
    assert one[2, 2].tolist() == [255, 0, 0]
    mine = tmp_path / "report" / "mine.png"
    mine.write_bytes(b"")
    write_issues(issues[:1], ["dark"], tmp_path / "report")
    left = {path.name for path in (tmp_path / "report").iterdir()}
    assert left == {"issues.csv", "dark.png", "mine.png"}
