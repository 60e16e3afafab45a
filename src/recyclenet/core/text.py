"""Making text from outside safe to print: a terminal shows all of it and obeys none of it."""

from __future__ import annotations

import os


def printable(text: str, keep: str = "") -> str:
    """Return `text` with everything that a terminal would obey or hide made visible.

    Control characters (C0 and C1), direction overrides, zero-width characters, line breaks, unusual
    spaces and lone surrogates become escapes such as `\\x1b`; letters and emoji stay.

    Args:
        text: whatever came from outside.
        keep: characters to leave as they are.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else ascii(char)[1:-1] for char in text
    )


def show_path(path: str | os.PathLike[str]) -> str:
    """Return `path` as text that can always be printed on one line."""
    return printable(os.fspath(path))
