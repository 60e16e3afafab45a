"""Progress bars and messages on stderr."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from recyclenet.cli.output import make_console
from recyclenet.core.progress import Progress
from recyclenet.core.text import printable

if TYPE_CHECKING:
    from rich.progress import ProgressColumn


@contextmanager
def counting(title: str, unit: str = "", *, quiet: bool = False) -> Iterator[Progress]:
    """Show progress and log messages on stderr while the block runs.

    The bar, with speed and time left, appears only on a terminal; messages of the logger
    "recyclenet" always appear.

    Args:
        title: shown until the work reports its first note.
        unit: "bytes" shows sizes and transfer rates; anything else shows counts.
        quiet: show nothing.

    Yields:
        The progress callback.
    """
    from rich.progress import Progress as Bars
    from rich.progress import TextColumn

    console = make_console(quiet=quiet)
    is_shown = console.is_terminal and not quiet
    text = TextColumn("{task.description}", markup=False)
    with (
        Bars(text, *_columns(unit), console=console, transient=True, disable=not is_shown) as bars,
        _messages(lambda line: console.print(line, soft_wrap=True)),
    ):
        task = bars.add_task(printable(title), total=None)
        current = title

        def report(done: int, total: int | None, note: str = "") -> None:
            nonlocal current
            if note and note != current:
                current = note
                bars.reset(task, description=printable(note), total=total, completed=done)
            else:
                bars.update(task, completed=done, total=total)

        yield report


def _columns(unit: str) -> list[ProgressColumn]:
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        ProgressColumn,
        Task,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.text import Text

    class RateColumn(ProgressColumn):
        """Items per second."""

        def render(self, task: Task) -> Text:
            """Return the speed as text."""
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:,.{1 if speed < 10 else 0}f}/s")

    counts: list[ProgressColumn] = [MofNCompleteColumn(), RateColumn()]
    if unit == "bytes":
        counts = [DownloadColumn(), TransferSpeedColumn()]
    return [BarColumn(), *counts, TimeRemainingColumn()]


@contextmanager
def _messages(show: Callable[[str], object]) -> Iterator[None]:
    """Pass the package's log messages to `show` while the block runs."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            show(record.getMessage())

    logger = logging.getLogger("recyclenet")
    handler, level = Handler(logging.INFO), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
