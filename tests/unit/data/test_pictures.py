"""From what is typed after `classify` to pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from recyclenet.data.pictures import expand
from recyclenet.errors import UsageError


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    for name in ("glass/1.jpg", "glass/2.png", "metal/deep/3.webp", "metal/notes.txt", "4[5].jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["glass"], ["glass/1.jpg", "glass/2.png"]),
        (["glass/2.png", "glass/1.jpg"], ["glass/2.png", "glass/1.jpg"]),
        (["none.jpg", "-x.jpg", ""], ["none.jpg", "-x.jpg", ""]),
        (["metal/notes.txt"], ["metal/notes.txt"]),
        (["glass/*.jpg"], ["glass/1.jpg"]),
        (["**/*.webp"], ["metal/deep/3.webp"]),
        (["gl?ss"], ["glass/1.jpg", "glass/2.png"]),
        (["glass/**"], ["glass/1.jpg", "glass/2.png"]),
        (["./glass/**"], ["./glass/1.jpg", "./glass/2.png"]),
        (["[eg]*"], ["glass/1.jpg", "glass/2.png"]),
        (["4[5].jpg"], ["4[5].jpg"]),
        (["glass/1.jpg", "glass/1.jpg"], ["glass/1.jpg", "glass/1.jpg"]),
    ],
)
def test_files_folders_and_globs(here, arguments, expected):
    assert list(expand(arguments, pytest.fail)) == expected


def test_absolute_folder(here):
    assert list(expand([str(here / "glass")], pytest.fail)) == [
        str(here / "glass" / "1.jpg"),
        str(here / "glass" / "2.png"),
    ]


@pytest.mark.parametrize("argument", ["empty", "*.gif", "nowhere/**", "e*y"])
def test_nothing_to_look_at_is_the_callers_mistake(here, argument):
    with pytest.raises(UsageError) as caught:
        list(expand([argument], pytest.fail))
    assert argument in str(caught.value)
