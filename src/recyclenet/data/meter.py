"""Telling whoever watches how far the work on some bytes is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from recyclenet.core.text import printable

if TYPE_CHECKING:
    from rich.progress import Progress


class Meter:
    """Is told how a transfer goes. This one only counts what comes over the network."""

    num_received_bytes = 0

    def at(self, num_bytes: int, total: int | None) -> None:
        """`num_bytes` of `total` bytes are there (None: the server does not say)."""

    def waiting(self, reason: str, wait_s: float) -> None:
        """The next attempt starts in `wait_s` seconds because of `reason`."""


class Bar(Meter):
    """Shows bytes done on a line of a progress display, if there is one."""

    def __init__(self, progress: Progress | None, label: str) -> None:
        self.label = label
        self._progress = progress
        self._task = progress.add_task(printable(label), total=None) if progress else None

    def at(self, num_bytes: int, total: int | None) -> None:
        """Move the bar."""
        if self._progress and self._task is not None:
            self._progress.update(
                self._task, completed=num_bytes, total=total, description=printable(self.label)
            )

    def waiting(self, reason: str, wait_s: float) -> None:
        """Say on the line why nothing moves."""
        if self._progress and self._task is not None:
            text = f"{self.label}: {reason}; again in {wait_s:.0f} s"
            self._progress.update(self._task, description=printable(text))

    def close(self) -> None:
        """Take the line away."""
        if self._progress and self._task is not None:
            self._progress.remove_task(self._task)


@contextmanager
def show_bar(progress: Progress | None, label: str) -> Iterator[Bar]:
    """A line of `progress`, while the block runs; one that shows nothing if it is None."""
    bar = Bar(progress, label)
    try:
        yield bar
    finally:
        bar.close()
