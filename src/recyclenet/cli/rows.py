"""Printing rows for other programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from recyclenet.cli.output import put, say
from recyclenet.core.text import printable


def print_row(row: dict[str, Any]) -> None:
    """Print one JSON object on one line of stdout, at once.

    Characters are printed as they are; as JSON escapes where stdout's encoding lacks them or a
    terminal would obey them.
    """
    text = json.dumps(row, ensure_ascii=False, allow_nan=False)
    if not text.isprintable():  # JSON has escapes for what a terminal would obey
        text = "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        text = json.dumps(row)
    put(text)


def print_columns(
    titles: Sequence[str], rows: Sequence[Sequence[str]], *, num_words: int = 1
) -> None:
    """Print a table on stdout: the first `num_words` columns to the left, figures to the right."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    for row in (titles, *rows):
        cells = [
            f"{cell:{width}}" if number < num_words else f"{cell:>{width}}"
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        say("  ".join(cells).rstrip())
