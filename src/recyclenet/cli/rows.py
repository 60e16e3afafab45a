"""Printing of JSON rows and text tables."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from recyclenet.cli.output import put, say
from recyclenet.core.text import printable


def print_row(row: dict[str, Any]) -> None:
    """Print one JSON object on one line of stdout, and flush.

    Unprintable characters, and those that the encoding of stdout lacks, become JSON escapes.
    """
    text = json.dumps(row, ensure_ascii=False, allow_nan=False)
    if not text.isprintable():  # control characters
        text = "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        text = json.dumps(row)
    put(text)


def print_columns(
    titles: Sequence[str], rows: Sequence[Sequence[str]], *, num_words: int = 1
) -> None:
    """Print a table on stdout, with the first `num_words` columns left-aligned."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    for row in (titles, *rows):
        cells = [
            f"{cell:{width}}" if number < num_words else f"{cell:>{width}}"
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        say("  ".join(cells).rstrip())
