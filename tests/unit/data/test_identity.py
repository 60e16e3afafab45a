"""One file is one file, however its path is written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from recyclenet.data.identity import find_repeats, identity, true_path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.jpg").write_text("x")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "c.jpg").symlink_to("a/x.jpg")
    (tmp_path / "d.jpg").symlink_to("c.jpg")
    os.link(tmp_path / "a" / "x.jpg", tmp_path / "hard.jpg")
    (tmp_path / "e.jpg").symlink_to("none")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    return tmp_path


def named(place: Path, *names: str) -> dict[str, str]:
    repeats = find_repeats([place / name for name in names])
    return {names[row]: names[first] for row, first in repeats.items()}


@pytest.mark.parametrize("name", ["b/x.jpg", "a/../a/x.jpg", "b/../a/x.jpg", "./a//x.jpg"])
def test_spellings_of_one_file(place, name):
    assert identity(place / name) == identity(place / "a/x.jpg")
    assert true_path(place / name) == place / "a/x.jpg"
    assert named(place, "a/x.jpg", name) == {name: "a/x.jpg"}


def test_a_file_that_is_alone_is_known_by_its_number(place):
    """As on a disk that does not tell capitals from small letters, or mounted twice."""
    (place / "hard.jpg").unlink()
    assert identity(place / "a/x.jpg")[2] == ""


def test_links_repeat_the_file_and_hard_links_do_not(place):
    assert named(place, "d.jpg", "c.jpg", "a/x.jpg", "hard.jpg") == {
        "c.jpg": "a/x.jpg",
        "d.jpg": "a/x.jpg",
    }


def test_links_to_a_file_elsewhere_are_copies_but_links_to_links_are_not(place):
    (place / "f.jpg").symlink_to(place / "a/x.jpg")
    assert named(place, "c.jpg", "f.jpg") == {}
    assert named(place, "d.jpg", "c.jpg", "f.jpg", "./f.jpg") == {
        "d.jpg": "c.jpg",
        "./f.jpg": "f.jpg",
    }


def test_what_is_not_there(place):
    assert named(place, "e.jpg", "none", "loop.jpg", "a/none", "x" * 300) == {"e.jpg": "none"}
    assert named(place, "a/none", "b/none") == {"b/none": "a/none"}
