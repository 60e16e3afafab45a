"""A reader never meets half a file, and a failed write leaves what was there."""

from __future__ import annotations

import csv
import errno
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recyclenet.core.files import (
    atomic_writer,
    new_folder,
    read_table,
    write_bytes,
    write_table,
    write_text,
)
from recyclenet.errors import RecycleNetError, UsageError


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


def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    folder, link = tmp_path / "else", tmp_path / "link"
    folder.mkdir()
    (folder / "file").write_bytes(b"old")
    link.symlink_to("else/file")
    with (folder / "file").open("rb") as reader:
        write_bytes(link, b"new")
        assert reader.read() == b"old"
    assert link.is_symlink()
    assert (folder / "file").read_bytes() == b"new"
    assert [p.name for p in folder.iterdir()] == ["file"]


def test_a_link_to_nothing_stays_and_its_target_is_made(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "new" / "file")
    write_bytes(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "new" / "file").read_bytes() == b"new"


def test_links_in_a_circle_are_one_line(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(RecycleNetError, match="cannot write"):
        write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").is_symlink()


@pytest.mark.skipif(os.name == "nt", reason="modes differ there")
def test_a_replaced_file_keeps_its_mode(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o640)
    with atomic_writer(path) as file:
        (part,) = tmp_path.glob(".*.part")
        assert stat.S_IMODE(part.stat().st_mode) == 0o640
        file.write(b"new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def make_device(path: Path, minor: int) -> Path:
    """Make a device like /dev/null (3) or /dev/full (7): tests never touch the real ones."""
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
        path.open("wb").close()
    except (AttributeError, OSError):
        pytest.skip("devices cannot be made here")
    return path


def test_a_device_is_written_to_and_stays(tmp_path):
    device = make_device(tmp_path / "null", 3)
    write_bytes(device, b"gone")
    assert stat.S_ISCHR(device.stat().st_mode)
    assert list(tmp_path.iterdir()) == [device]


def test_a_full_device_is_one_line(tmp_path):
    device = make_device(tmp_path / "full", 7)
    with pytest.raises(RecycleNetError, match="No space left"):
        write_bytes(device, b"x" * 100_000)
    assert stat.S_ISCHR(device.stat().st_mode)


@pytest.mark.skipif(os.name == "nt", reason="there are no FIFOs there")
def test_a_fifo_is_written_to_its_reader_and_refused_without_one(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(RecycleNetError, match="no program is reading"):
        write_bytes(fifo, b"x")
    received = []
    reader = threading.Thread(target=lambda: received.append(fifo.read_bytes()))
    reader.start()
    content = b"x" * 1_000_000  # more than it holds
    for _ in range(100):  # until the reader is there
        try:
            write_bytes(fifo, content)
            break
        except RecycleNetError:
            time.sleep(0.02)
    reader.join(10)
    assert received == [content]
    assert stat.S_ISFIFO(fifo.stat().st_mode)


@pytest.mark.skipif(os.name == "nt", reason="there are no sockets there")
def test_a_socket_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # its name must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        with pytest.raises(RecycleNetError, match="block device or a socket"):
            write_bytes(Path("socket"), b"x")
    assert stat.S_ISSOCK(Path("socket").stat().st_mode)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system has no /proc")
@pytest.mark.parametrize("mode", ["pipe", "file"])
def test_stdout_gets_the_content_in_its_place(tmp_path, mode):
    (tmp_path / "stdout").symlink_to("/proc/self/fd/1")  # what /dev/stdout is
    program = (
        "from pathlib import Path; from recyclenet.core.files import write_bytes\n"
        "print('before'); write_bytes(Path('stdout'), b'content\\n'); print('after')"
    )
    with (tmp_path / "out").open("wb") as file:
        out = subprocess.PIPE if mode == "pipe" else file
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, stdout=out, check=True, cwd=tmp_path)
    text = done.stdout if mode == "pipe" else (tmp_path / "out").read_bytes()
    assert text == b"before\ncontent\nafter\n"
    assert (tmp_path / "stdout").is_symlink()


@pytest.mark.parametrize("place", ["folder", "x" * 256, "file/below", "folder/" + "y" * 300 + "/z"])
def test_places_that_cannot_be_files_are_one_line(tmp_path, place):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(RecycleNetError, match="cannot write"):
        write_bytes(tmp_path / place, b"x")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder"]


def test_the_longest_name_works(tmp_path):
    write_bytes(tmp_path / ("x" * 255), b"new")
    assert (tmp_path / ("x" * 255)).read_bytes() == b"new"


@pytest.mark.parametrize("step", ["fsync", "write"])
def test_a_full_disk_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch, step):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(RecycleNetError, match="No space left") as caught:  # noqa: PT012
        if step == "fsync":
            monkeypatch.setattr(os, "fsync", full)
        with atomic_writer(path) as file:
            file.write(b"half of it")
            if step == "write":
                full()
    assert caught.value.exit_code == 1
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "new"

    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"), new_folder(place) as folder:
        fail(folder)
    assert list(place.parent.iterdir()) == []
    with new_folder(place) as folder:
        (folder / "whole").touch()
        assert not place.exists()
    assert [path.name for path in place.iterdir()] == ["whole"]
    (tmp_path / "link").symlink_to("nowhere")
    for taken in (place, tmp_path / "link"):
        with pytest.raises(UsageError, match="choose a new folder"), new_folder(taken):
            pass
    with pytest.raises(RecycleNetError, match="cannot write"), new_folder(place / "whole" / "x"):
        pass


def test_a_link_is_replaced_where_asked_for(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "link").symlink_to("mine")
    with atomic_writer(tmp_path / "link", follow=False) as file:
        file.write(b"new")
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "link").read_text() == "new"
    assert (tmp_path / "mine").read_text() == "mine"
