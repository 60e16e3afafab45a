"""A reader never meets half a file, and a failed write leaves what was there."""

from __future__ import annotations

import os

import pytest

from recyclenet.core.files import atomic_writer, write_bytes, write_text
from recyclenet.errors import RecycleNetError


def test_new_file_in_a_new_folder(tmp_path):
    path = tmp_path / "new" / "folder" / "文件.txt"
    write_text(path, "玻璃 🍾\n")
    assert path.read_text(encoding="utf-8") == "玻璃 🍾\n"
    assert [p.name for p in path.parent.iterdir()] == ["文件.txt"]


def test_bytes_that_are_no_text_survive(tmp_path):
    write_text(tmp_path / "f", b"\xff\xfe".decode("utf-8", "surrogateescape"))
    assert (tmp_path / "f").read_bytes() == b"\xff\xfe"


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be replaced there")
def test_who_is_reading_keeps_the_old_file_whole(tmp_path):
    path = tmp_path / "file"
    write_bytes(path, b"old " * 1000)
    with path.open("rb") as reader:
        start = reader.read(6)
        write_bytes(path, b"new")
        assert start + reader.read() == b"old " * 1000
    assert path.read_bytes() == b"new"


@pytest.mark.skipif(os.name == "nt", reason="modes differ there")
def test_others_may_read_what_was_written(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    write_bytes(tmp_path / "file", b"new")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, OSError])
def test_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path, failure):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    expected = RecycleNetError if failure is OSError else failure
    with pytest.raises(expected), atomic_writer(path) as file:  # noqa: PT012
        file.write(b"half of the n")
        assert path.read_bytes() == b"old"
        raise failure("no space")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_place_that_cannot_be_written_is_named_in_one_line(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RecycleNetError, match="cannot write") as caught:
        write_bytes(tmp_path / "file" / "below.txt", b"x")
    assert "below.txt" in str(caught.value)
    assert "\n" not in str(caught.value)
