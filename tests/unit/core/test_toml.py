from __future__ import annotations

import pytest

from recyclenet.core.toml import read_toml, toml_value
from recyclenet.errors import UsageError


def test_toml_with_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "t.toml"
    path.write_bytes(b"\xef\xbb\xbfname = 'x'\r\n")
    assert read_toml(path) == {"name": "x"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"x = " + b"[" * 100_000 + b"]" * 100_000, "deeper than 20 levels"),
        (b"x = " + b"[" * 30 + b"]" * 30, "deeper than 20 levels"),
        (b"a" + b".a" * 10_000 + b" = 1", "deeper than 20 levels"),
        (b"x = " + b"9" * 5000, "not valid TOML: Exceeds the limit"),
        (b"# " + b"x" * 2_000_000, "the most allowed"),
        (b"x = 1\ny = '\xff'", "line 2: not UTF-8"),
        ("x = 1".encode("utf-16"), "UTF-16"),
        (b"x = 1\0", "NUL byte"),
        (b"x = \n", "line 1"),
    ],
    ids=lambda value: repr(value[:8]),
)
def test_hostile_toml_is_refused_in_one_line(tmp_path, content, message):
    path = tmp_path / "t.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_toml(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_value_in_toml_or_a_bare_word():
    assert toml_value("[1, 2]") == [1, 2]
    assert toml_value("plain word") == "plain word"
    assert toml_value("1\ny = 2") == "1\ny = 2"
    for word in ("[" * 100_000, "9" * 5000):
        with pytest.raises(ValueError, match=r"levels|limit"):
            toml_value(word)
