"""Taking photos out of a dataset in a way that can be undone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from recyclenet.core.files import read_table, write_table
from recyclenet.data.manifest import file_digest
from recyclenet.errors import DataError, RecycleNetError, UsageError

JOURNAL = "moves.csv"


@dataclass(frozen=True, slots=True)
class Move:
    """One photo's way into a quarantine.

    Attributes:
        path: where it was, absolute.
        place: its name in the quarantine folder.
        reason: why it was taken out.
        sha256: digest of its bytes.
    """

    path: str
    place: str
    reason: str
    sha256: str


def quarantine(photos: Iterable[tuple[Path, str]], folder: Path) -> list[Move]:
    """Move photos into a folder; what goes where is written down before the first one moves.

    Args:
        photos: each photo and the reason.
        folder: made if missing; may hold what was moved earlier.

    Raises:
        DataError: a photo has gone meanwhile.
        RecycleNetError: the folder cannot be written to; nothing moved, or `restore` knows what.
    """
    earlier = read_journal(folder) if (folder / JOURNAL).is_file() else []
    moves = []
    for number, (photo, reason) in enumerate(photos, len(earlier)):
        path = Path(os.path.abspath(photo))  # noqa: PTH100 - a link moves, not what it points to
        try:
            digest = file_digest(path)
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}; nothing was moved") from error
        moves.append(Move(str(path), f"{number:06d}{path.suffix.lower()}", reason, digest))
    _write_journal(folder, [*earlier, *moves])
    for move in moves:
        _move(Path(move.path), folder / move.place)
    return moves


def restore(folder: Path) -> list[Path]:
    """Move everything back to where it was; delete the folder if nothing else is in it.

    Raises:
        UsageError: it is no quarantine folder.
        DataError: another file lies at an old place now, or a photo was changed; nothing moved.
    """
    waiting = [move for move in read_journal(folder) if (folder / move.place).is_file()]
    taken = [move.path for move in waiting if os.path.lexists(move.path)]
    if taken:
        more = f" and {len(taken) - 1} more" if len(taken) > 1 else ""
        raise DataError(f"another file is at {taken[0]}{more} now; move it away first")
    for move in waiting:
        if file_digest(folder / move.place) != move.sha256:
            raise DataError(f"{folder / move.place} is not what was {move.path}; nothing was moved")
    for move in waiting:
        _move(folder / move.place, Path(move.path))
    (folder / JOURNAL).unlink()
    if not any(folder.iterdir()):
        folder.rmdir()
    return [Path(move.path) for move in waiting]


def read_journal(folder: Path) -> list[Move]:
    """Return what was moved into a quarantine folder.

    Raises:
        UsageError: it is no quarantine folder.
        DataError: its journal is damaged.
    """
    path = folder / JOURNAL
    try:
        rows = [row for _, row in read_table(path)]
    except UsageError as error:
        raise UsageError(f"{folder} is no quarantine folder: it has no {JOURNAL}") from error
    names = [field.name for field in fields(Move)]
    if not rows or rows[0] != names or any(len(row) != len(names) for row in rows):
        raise DataError(f"{path} is damaged")
    return [Move(*row) for row in rows[1:]]


def _write_journal(folder: Path, moves: Sequence[Move]) -> None:
    names = [field.name for field in fields(Move)]
    write_table(folder / JOURNAL, [names, *(astuple(move) for move in moves)])


def _move(source: Path, target: Path) -> None:
    """Move a file with its times, also to another file system."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(source, target)
    except OSError as error:
        raise RecycleNetError(
            f"cannot move {source} to {target}: {error.strerror or error}; what was moved is in "
            f"{JOURNAL}"
        ) from error
