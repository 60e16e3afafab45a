"""What a person reads on stdout and stderr; whatever it quotes, the terminal obeys none of it."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

from recyclenet.core.text import printable
from recyclenet.errors import RecycleNetError

if TYPE_CHECKING:
    from rich.console import Console


def say(line: str = "", *, err: bool = False) -> None:
    """Print one line at once; only tabs survive of what is not printable.

    A stderr that takes nothing stops no work; the exit code still says how it ended.

    Args:
        line: the text; a line break in it, which a name may hold, is shown and not obeyed.
        err: print on stderr.

    Raises:
        As `put` does, for stdout.
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
    """Name on stderr what was written to disk; stdout holds the result alone."""
    say(f"wrote {what}", err=True)


def put(text: str) -> None:
    """Print text on stdout as it is, at once.

    Raises:
        BrokenPipeError: whoever read it has gone.
        RecycleNetError: it cannot be written; the disk may be full.
    """
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise RecycleNetError(f"cannot write to stdout: {error.strerror}") from error


def mute(stream: TextIO) -> None:
    """Send what a stream holds, and all that follows, to the null device."""
    with suppress(io.UnsupportedOperation):  # a stream in memory cannot fail
        number = stream.fileno()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, number)
        os.close(null)


def say_left_out(reason: str) -> None:
    """Name on stderr what a command goes on without."""
    say(f"left out: {reason}", err=True)


def make_console(**options: Any) -> Console:
    """Return a Rich console on stderr for progress; it prints plain text as `say` does."""
    from rich.console import Console

    class PlainConsole(Console):
        def print(self, *objects: Any, **options: Any) -> None:
            lines = [printable(o, keep="\n") if isinstance(o, str) else o for o in objects]
            super().print(*lines, **{"markup": False, "highlight": False, **options})

    return PlainConsole(stderr=True, **options)
