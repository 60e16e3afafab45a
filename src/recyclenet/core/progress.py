"""The interface through which long operations report their progress."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """A callback for the progress of a long operation: a progress bar, a log, or `silent`."""

    def __call__(self, done: int, total: int | None, note: str = "") -> None:
        """Report progress.

        Args:
            done: number of items done so far.
            total: number of items in total; None if unknown.
            note: the current step, or the reason for waiting. A new note starts a new count.
        """


def silent(done: int, total: int | None, note: str = "") -> None:
    """Ignore progress reports."""


def titled(progress: Progress, title: str) -> Progress:
    """Return a callback that puts a title before each note, as in "fold 2 of 5: training"."""

    def report(done: int, total: int | None, note: str = "") -> None:
        progress(done, total, f"{title}: {note}" if note else title)

    return report
