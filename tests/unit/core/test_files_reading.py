"""Reading text that a user names ends, whatever the file is, and says what is wrong and where."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from recyclenet.core.files import read_table, read_text
from recyclenet.core.toml import read_toml
from recyclenet.errors import DataError, UsageError


def refusal(read, path: Path, kind: type[Exception] = UsageError) -> str:
    with pytest.raises(kind) as caught:
        list(read(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def special(tmp_path) -> dict[str, Path]:
    """Paths that are no ordinary file."""
    places = {
        name: tmp_path / name for name in ("none", "folder", "fifo", "loop", "l" * 300, "a\0b")
    }
    places["folder"].mkdir()
    os.mkfifo(places["fifo"])
    places["loop"].symlink_to(places["loop"])
    return {**places, "zero": Path("/dev/zero")}


@pytest.mark.skipif(os.name == "nt", reason="no such files there")
@pytest.mark.parametrize("read", [read_text, read_table, read_toml])
@pytest.mark.parametrize("name", ["none", "folder", "fifo", "loop", "l" * 300, "a\0b", "zero"])
def test_what_is_no_ordinary_file_is_refused_at_once(special, read, name):
    message = refusal(read, special[name])
    assert message.startswith("cannot read ")
    assert message.isprintable()


@pytest.mark.parametrize("read", [read_text, read_table, read_toml])
def test_a_file_without_end_is_not_read_to_the_end(tmp_path, read):
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # sparse: takes no space
    assert "the most allowed" in refusal(read, path)


def test_encodings(tmp_path):
    path = tmp_path / "file"
    path.write_bytes("\ufeff玻璃\r\n".encode())
    assert read_text(path) == "玻璃\r\n"
    path.write_bytes("玻璃".encode("utf-16"))
    assert "UTF-16 text; save it as UTF-8" in refusal(read_text, path, DataError)
    path.write_bytes(b"a\nb\0")
    assert "line 2: a NUL byte" in refusal(read_text, path, DataError)
    path.write_bytes(b"M\xfcll")
    assert read_text(path) == "M\udcfcll"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x,y\n" + "x" * 200_000 + ",1\n", r"line 2: not a CSV table \(field larger"),
        ('x,y\n1,"2\n3,4\n', r"line 3: not a CSV table \(unexpected end"),
        ("x\n" + "," * 1_000_000 + "\n", "line 2: over 20,000 columns"),
        ("x\n" + "," * 2_000_000 + "\n", "line 2: over 1,048,576 characters"),
    ],
    ids=["field", "quote", "columns", "line"],
)
def test_table_that_is_none_names_the_line(tmp_path, content, message):
    path = tmp_path / "t.csv"
    path.write_text(content)
    assert re.search(message, refusal(read_table, path, DataError))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_rows_come_with_their_lines_whatever_ends_them(tmp_path, end):
    path = tmp_path / "t.csv"
    path.write_bytes(f'a,b{end}{end}"c{end}d",e'.encode())
    assert list(read_table(path)) == [(1, ["a", "b"]), (4, [f"c{end}d", "e"])]
