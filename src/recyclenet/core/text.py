"""Escaping of untrusted text, so that a terminal shows it and never executes it."""

from __future__ import annotations

import os


def printable(text: str, keep: str = "") -> str:
    """Escape every character that a terminal would interpret or hide.

    Control characters (C0 and C1), direction overrides, zero-width characters, line breaks, unusual
    spaces and lone surrogates become escapes such as `\\x1b`; letters and emoji stay.

    Args:
        text: untrusted text.
        keep: characters to leave unescaped.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else ascii(char)[1:-1] for char in text
    )


def show_path(path: str | os.PathLike[str]) -> str:
    """Return `path` escaped, so that it prints safely on one line."""
    return printable(os.fspath(path))
