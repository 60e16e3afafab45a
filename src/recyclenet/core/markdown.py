"""Untrusted text in Markdown and YAML: shown as it is, never interpreted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

from recyclenet.core.text import printable

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#!|~&$:@])")


def escape(text: str) -> str:
    """Return text that Markdown shows literally, on one line, also in the cell of a table.

    >>> escape("a|b <i>")
    'a\\\\|b \\\\<i\\\\>'
    """
    return _SPECIAL.sub(r"\\\1", printable(text).strip())


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table; the first column is left-aligned, the others right-aligned.

    Args:
        titles: of the columns.
        rows: cells, escaped where they are untrusted.
    """
    lines = ["| " + " | ".join(cells) + " |" for cells in (titles, *rows)]
    return [lines[0], "|---" + "|---:" * (len(titles) - 1) + "|", *lines[1:]]


def yaml_text(text: str) -> str:
    r"""Return text as a quoted YAML scalar, which is never read as anything but this text.

    >>> yaml_text("no: \x1b")
    '"no: \\u001b"'
    """
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in quoted)
