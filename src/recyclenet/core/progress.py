"""How long work reports its progress, without knowing who is watching."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """What long work calls as it goes: a progress bar, a log, or `silent`."""

    def __call__(self, done: int, total: int | None, note: str = "") -> None:
        """Report progress.

        Args:
            done: number of things done so far.
            total: number of things in all; None while that is unknown.
            note: what is being done, or why it waits. A new note begins a new count.
        """


def silent(done: int, total: int | None, note: str = "") -> None:
    """Ignore all progress."""


def titled(progress: Progress, title: str) -> Progress:
    """Return a progress whose notes begin with a title, such as "fold 2 of 5: training"."""

    def report(done: int, total: int | None, note: str = "") -> None:
        progress(done, total, f"{title}: {note}" if note else title)

    return report
