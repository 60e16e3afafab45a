"""Printing on stdout and stderr, with control characters in quoted text escaped."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

from recyclenet.core.text import printable
from recyclenet.errors import EXIT_PARTIAL, RecycleNetError

if TYPE_CHECKING:
    from rich.console import Console


def say(line: str = "", *, err: bool = False) -> None:
    """Print one line and flush; unprintable characters except tabs are escaped.

    A failing stderr does not stop the command; the exit code still reports the result.

    Args:
        line: the text; line breaks in it, such as in file names, are escaped.
        err: print on stderr.

    Raises:
        BrokenPipeError: the reader of stdout has closed the pipe.
        RecycleNetError: stdout cannot be written.
    """
    line = printable(line, keep="\t")
    if not err:
        put(line)
        return
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        mute(sys.stderr)


def say_written(what: object) -> None:
    """Report on stderr what was written to disk; stdout holds only the result."""
    say(f"wrote {what}", err=True)


def put(text: str) -> None:
    """Print text on stdout unchanged, and flush.

    Raises:
        BrokenPipeError: the reader has closed the pipe.
        RecycleNetError: stdout cannot be written, for example because the disk is full.
    """
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise RecycleNetError(f"cannot write to stdout: {error.strerror}") from error


def mute(stream: TextIO) -> None:
    """Discard the buffered and all further output of a stream."""
    with suppress(io.UnsupportedOperation):  # a stream in memory has no descriptor
        number = stream.fileno()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, number)
        os.close(null)


def say_left_out(reason: str) -> None:
    """Report on stderr an input that the command skips."""
    say(f"left out: {reason}", err=True)


class LeftOutInputs(list[str]):
    """Reports each input that a command skips, and keeps the reasons for `finish`."""

    def __call__(self, reason: str) -> None:
        """Take in one reason."""
        self.append(reason)
        say_left_out(reason)


def finish(num_unanswered: int, num_photos: int, left_out: Sequence[str]) -> None:
    """End a command with exit code 3 if a photo has no answer or an input was left out.

    Args:
        num_unanswered: number of photos without an answer, which stderr already names.
        num_photos: number of all photos.
        left_out: one reason for each input that was left out.
    """
    if num_unanswered:
        say(f"{num_unanswered} of {num_photos} photos have no answer", err=True)
    if num_unanswered or left_out:
        import typer

        raise typer.Exit(EXIT_PARTIAL)


def make_console(**options: Any) -> Console:
    """Return a Rich console on stderr for progress; it escapes text as `say` does."""
    from rich.console import Console

    class PlainConsole(Console):
        def print(self, *objects: Any, **options: Any) -> None:
            lines = [printable(o, keep="\n") if isinstance(o, str) else o for o in objects]
            super().print(*lines, **{"markup": False, "highlight": False, **options})

    return PlainConsole(stderr=True, **options)
