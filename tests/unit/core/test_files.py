"""A reader never meets half a file, and a failed write leaves what was there."""

from __future__ import annotations

import csv
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recyclenet.core.files import atomic_writer, read_table, write_bytes, write_table, write_text
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


FORMULAS = [
    "=1+1",
    "+x",
    "-x",
    "@SUM(A1)",
    "\tx",
    "\rx",
    "\nx",
    "＝1",
    "-",
    "=",
    "-x1",
    "-1e",
    "+1 2",
]
PLAIN = ["'", "''", "'=1", "'a", "", "a", "-1.5", "+2", "-1e-05", "nan", "-inf", "a=b", "玻璃"]


def test_a_spreadsheet_runs_no_cell_and_every_cell_comes_back(tmp_path):
    path = tmp_path / "table.csv"
    table = [["name", "other"], *([cell, "'x"] for cell in FORMULAS + PLAIN)]
    write_table(path, table)
    with path.open(newline="", encoding="utf-8") as file:
        raw = list(csv.reader(file))
    cells = [cell for row in raw for cell in row]
    assert not [cell for cell in cells if cell.startswith(tuple("=@\t\r\n＝"))]
    assert {cell for cell in cells if cell.startswith(("+", "-"))} == {
        "-1.5", "+2", "-1e-05", "-inf",
    }  # fmt: skip
    assert [row for _, row in read_table(path)] == table


def test_a_table_without_formulas_has_no_extra_column(tmp_path):
    path = tmp_path / "table.csv"
    write_table(path, [["name"], ["'=1"], ["-5"]])
    assert path.read_text() == "name\n'=1\n-5\n"
    assert [row for _, row in read_table(path)] == [["name"], ["'=1"], ["-5"]]


def test_a_table_by_hand_is_read_as_it_is(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"\xef\xbb\xbfname,other\r\n=1,'=2\r\n\r\n''x,'\r\n")
    assert list(read_table(path)) == [
        (1, ["name", "other"]), (2, ["=1", "'=2"]), (4, ["''x", "'"])
    ]  # fmt: skip


def test_rows_added_by_hand_to_a_written_table_are_read_as_they_are(tmp_path):
    path = tmp_path / "table.csv"
    write_table(path, [["name"], ["=1"]])
    path.write_text(path.read_text() + "'=2\n'=3,\n")
    assert [row for _, row in read_table(path)] == [["name"], ["=1"], ["'=2"], ["'=3"]]


@given(
    st.lists(
        st.lists(st.text(st.sampled_from("=+-@'\t\r\n,\"1.e"), max_size=4), min_size=3, max_size=3),
        max_size=5,
    )
)
def test_whatever_the_cells_are_they_come_back(tmp_path_factory, body):
    path = tmp_path_factory.mktemp("table") / "table.csv"
    write_table(path, [["a", "b", "c"], *body])
    assert [row for _, row in read_table(path)][1:] == body
