"""What a person reads on stdout and stderr; whatever it quotes, the terminal obeys none of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from recyclenet.core.text import printable

if TYPE_CHECKING:
    from rich.console import Console


def say(line: str = "", *, err: bool = False) -> None:
    """Print one line at once; only tabs survive of what is not printable.

    Args:
        line: the text; a line break in it, which a name may hold, is shown and not obeyed.
        err: print on stderr.
    """
    print(printable(line, keep="\t"), file=sys.stderr if err else sys.stdout, flush=True)


def make_console(**options: Any) -> Console:
    """Return a Rich console on stderr for progress; it prints plain text as `say` does."""
    from rich.console import Console

    class PlainConsole(Console):
        def print(self, *objects: Any, **options: Any) -> None:
            lines = [printable(o, keep="\n") if isinstance(o, str) else o for o in objects]
            super().print(*lines, **{"markup": False, "highlight": False, **options})

    return PlainConsole(stderr=True, **options)
