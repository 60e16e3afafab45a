"""What comes from outside is seen on a terminal, never obeyed by it."""

from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recyclenet.cli.output import make_console, say
from recyclenet.cli.rows import print_columns, print_row
from recyclenet.core.text import printable

NASTY = "\x1b[31m\x07\x9b2J\u202e\u200b\u2028\ufeff\r\n\udcff"


@pytest.mark.parametrize("char", list(NASTY))
def test_what_a_terminal_obeys_or_hides_is_made_visible(char):
    assert printable(f"a{char}b").isprintable() or char in "[31m2J"
    assert len(printable("\x1b")) == 4


def test_letters_and_emoji_stay():
    text = "可回收物_玻璃 🍾 ♻️ Müll, שלום"
    assert printable(text) == text


def test_lines_and_tables_are_inert(capsys):
    say(f"one {NASTY} line\twith a tab")
    say(NASTY, err=True)
    print_columns(("class", "photos"), [(f"glass{NASTY}", "1"), ("metal", "2")])
    make_console().print(f"[red]bin {NASTY}")
    out, err = capsys.readouterr()
    assert out.count("\n") == 4
    assert err.count("\n") == 3  # a console keeps line breaks
    assert "[red]bin" in err
    assert all(char.isprintable() or char in "\n\t" for char in out + err)


@given(st.text(st.characters(codec=None)))
def test_a_json_row_is_inert_and_says_the_same(text):
    written: list[str] = []

    class Stream:
        encoding = "utf-8"
        write = staticmethod(written.append)
        flush = staticmethod(lambda: None)

    before, sys.stdout = sys.stdout, Stream()
    try:
        print_row({text: [text]})
    finally:
        sys.stdout = before
    line = "".join(written)
    assert line.removesuffix("\n").isprintable()
    if not any("\ud800" <= char <= "\udfff" for char in text):
        assert json.loads(line) == {text: [text]}
