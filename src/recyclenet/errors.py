"""Every error that RecycleNet raises on purpose, with its exit code.

    RecycleNetError            1  the work failed
    |-- UsageError             2  the request is invalid: a path, an option, a recipe field
    |-- DataError              1  the photos, or the table that lists them, cannot be used
    |   `-- ImageError         1  one photo cannot be read
    |       `-- ImageTooLargeError  it has more pixels or bytes than allowed
    |-- ModelFileError         4  a model or checkpoint file is damaged or cannot be trusted
    |-- MissingExtraError      1  an optional part of RecycleNet is not installed
    `-- Interrupted          130  the user interrupted the work (143: SIGTERM did)

A message is one line: what failed, the value received, what is allowed, what to do next.
No error has exit code 3 (partly done): a command returns it after finishing everything it could.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")

EXIT_OK = 0
EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_PARTIAL = 3
EXIT_UNTRUSTED = 4
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class RecycleNetError(Exception):
    """Base class of all errors that RecycleNet raises on purpose."""

    exit_code = EXIT_FAILURE


class UsageError(RecycleNetError):
    """The request is invalid; no work has started."""

    exit_code = EXIT_USAGE


class DataError(RecycleNetError):
    """The photos, or the table that lists them, cannot be used."""


class ImageError(DataError):
    """One photo cannot be read."""


class ImageTooLargeError(ImageError):
    """One photo has more pixels or bytes than allowed."""


class ModelFileError(RecycleNetError):
    """A model or checkpoint file is damaged, altered or of an unknown format."""

    exit_code = EXIT_UNTRUSTED


class MissingExtraError(RecycleNetError):
    """An optional part of RecycleNet is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs the '{extra}' extra: pip install 'recyclenet[{extra}]'")


class Interrupted(RecycleNetError):  # noqa: N818 - the program did not fail
    """The user interrupted the work; finished parts are kept."""

    exit_code = EXIT_INTERRUPTED


def look_up(name: str, table: Mapping[str, T], kind: str) -> T:
    """Return the entry `name` of a table.

    Args:
        name: the key.
        table: all entries.
        kind: what an entry is, for the error message.

    Raises:
        UsageError: the table has no such entry; the message suggests the nearest names.
    """
    if name not in table:
        raise UsageError(f"unknown {kind} {name!r}: {nearest(name, table)}")
    return table[name]


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint with the known names nearest to `name`, or else the first twelve.

    >>> nearest("carboard", ["cardboard", "glass"])
    "did you mean 'cardboard'?"
    >>> nearest("zzz", ["glass", "metal"])
    'known: glass, metal'
    """
    from difflib import get_close_matches  # only errors need it

    words = sorted(known)
    close = get_close_matches(name, words, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(repr(word) for word in close)}?"
    if not words:
        return "none is known"
    shown = ", ".join(words[:12])
    return f"known: {shown}" + (", ..." if len(words) > 12 else "")
