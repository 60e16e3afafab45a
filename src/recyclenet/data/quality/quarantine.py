"""Taking photos out of a dataset in a way that can be undone, whenever the process is killed.

The journal names every photo before the first one moves. A photo is at its old place, in the
quarantine, or for a moment at both; it never takes the place of another file. Between file systems
it is copied under a temporary name and compared before the original goes.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass, fields
from itertools import count
from pathlib import Path

from recyclenet.core.files import read_table, write_table
from recyclenet.core.images import SUFFIXES
from recyclenet.core.text import show_path
from recyclenet.data.identity import identity, true_path
from recyclenet.data.lock import lock_file
from recyclenet.data.manifest import Sample, change_since_scan, file_digest, readable_digest
from recyclenet.data.quality.moving import PART, link_text, move_file, part_of, sync_folder
from recyclenet.errors import DataError, RecycleNetError, UsageError

JOURNAL = "moves.csv"
_LOCK = ".lock"
_PLACE = re.compile(r"[0-9]{6,}(\.[^/\\\0]*)?")


@dataclass(frozen=True, slots=True)
class Departure:
    """A photo that should go.

    Attributes:
        sample: the photo; it goes only if it has the digest given here, or none is given.
        reason: why it goes.
        stays: the photo that it is a copy of, which must still be there; None where that is not
            why it goes.
    """

    sample: Sample
    reason: str
    stays: Sample | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """One photo's way into a quarantine.

    Attributes:
        path: where it was, absolute.
        place: its name in the quarantine folder.
        reason: why it was taken out.
        sha256: digest of its bytes; empty for a symbolic link.
        link: where a symbolic link leads, as it says itself; empty for a file.
    """

    path: str
    place: str
    reason: str
    sha256: str
    link: str = ""

    def fits(self, path: Path) -> bool:
        """Return whether this very photo, or link, lies at a path.

        Raises:
            OSError: nothing is there, or it cannot be read.
        """
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            return link_text(path) == self.link
        return stat.S_ISREG(mode) and not self.link and file_digest(path) == self.sha256


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of moving photos.

    Attributes:
        moved: those that moved.
        left: a line for each of the others: which, and why.
    """

    moved: list[Move]
    left: list[str]


@contextmanager
def open_quarantine(folder: Path) -> Iterator[Quarantine]:
    """Open a quarantine for as long as the block runs; no other process can do so meanwhile.

    Args:
        folder: made if missing; otherwise empty, or a quarantine already. If it is empty at the
            end, it is removed with the folders made above it, unless it was there and empty before.

    Raises:
        UsageError: something else is there.
        DataError: its journal is damaged.
        RecycleNetError: another process has it open, or it cannot be written to.
    """
    journal = folder / JOURNAL
    try:
        is_own = not (folder.is_dir() and not any(folder.iterdir()))
        made = [place for place in folder.parents if not os.path.lexists(place)]
        folder.mkdir(parents=True, exist_ok=True)
        if journal.exists():
            read_journal(folder)
        elif any(not entry.name.startswith(".") for entry in folder.iterdir()):
            raise UsageError(
                f"{folder} holds other files; a quarantine must be a new or empty folder, or one "
                f"that `data clean` has filled"
            )
        lock = lock_file(folder / _LOCK, "`data clean` or `data undo`")
    except OSError as error:
        raise RecycleNetError(
            f"cannot use {folder} as a quarantine: {error.strerror or error}; it must be a folder "
            f"that can be written to"
        ) from error
    with lock:
        try:
            yield Quarantine(folder)
        finally:
            # Still locked: another process that waits for the lock finds that the folder is gone.
            if not journal.exists():
                _clear(folder)
                for place in [folder, *made] if is_own else []:
                    with suppress(OSError):  # it is not empty
                        place.rmdir()


class Quarantine:
    """A folder of photos that were taken out of a dataset; see `open_quarantine`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def take(self, departures: Iterable[Departure]) -> Outcome:
        """Move photos here. What cannot be moved safely stays, and the others go.

        Raises:
            RecycleNetError: the journal cannot be written; nothing was moved.
        """
        earlier = read_journal(self.folder) if (self.folder / JOURNAL).exists() else []
        # A killed process may have listed photos that it never moved.
        earlier = [move for move in earlier if self._holds(move) or not _is_home(move)]
        used = {path.name.partition(".")[0] for path in self.folder.iterdir()}
        used |= {move.place.partition(".")[0] for move in earlier}
        numbers = (f"{n:06d}" for n in count(len(earlier)) if f"{n:06d}" not in used)
        plan, left = [], []
        for departure in departures:
            path = true_path(departure.sample.path)
            try:
                plan.append((self._planned(departure, path, next(numbers)), departure))
            except OSError as error:
                left.append(_because(path, error))
        if not plan:
            return Outcome([], left)
        self._write([*earlier, *(move for move, _ in plan)])
        moved = []
        for move, departure in plan:
            try:
                _check(move, departure)
                move_file(Path(move.path), self.folder / move.place, move.fits)
            except (DataError, OSError) as error:
                left.append(_because(Path(move.path), error))
            else:
                moved.append(move)
        if left:
            self._keep([*earlier, *moved])
        return Outcome(moved, left)

    def restore(self) -> Outcome:
        """Move everything back to where it was; what cannot be moved stays in the journal.

        Raises:
            UsageError: it is no quarantine.
            DataError: its journal is damaged.
        """
        moves = read_journal(self.folder)
        back, left, kept = [], [], set()
        # Photos in the quarantine first: the journal may also list moves that never happened.
        for move in sorted(moves, key=lambda move: not self._holds(move)):
            try:
                if self._bring_back(move):
                    back.append(move)
            except (DataError, OSError) as error:
                left.append(_because(Path(move.path), error))
                kept.add(move)
        self._keep([move for move in moves if move in kept])
        return Outcome(back, left)

    def _holds(self, move: Move) -> bool:
        return os.path.lexists(self.folder / move.place)

    def _planned(self, departure: Departure, path: Path, number: str) -> Move:
        sample = departure.sample
        mode = path.lstat().st_mode
        if not (stat.S_ISLNK(mode) or stat.S_ISREG(mode)):
            raise OSError(errno.EINVAL, "it is not a regular file")
        if path.parent == Path(os.path.realpath(self.folder)):
            raise OSError(errno.EINVAL, "it is in the quarantine already")
        suffix = path.suffix.lower() if path.suffix.lower() in SUFFIXES else ""
        link = link_text(path) if stat.S_ISLNK(mode) else ""
        digest = "" if link else sample.sha256 or file_digest(path)
        return Move(str(path), number + suffix, departure.reason, digest, link)

    def _bring_back(self, move: Move) -> bool:
        """Settle one move; return whether anything had to be done."""
        home, away = Path(move.path), self.folder / move.place
        is_here, is_home = self._holds(move), _is_home(move)
        if is_here and is_home and identity(home) != identity(away):
            # A killed process got no further, or a copy has arrived.
            if not move.fits(away):
                raise DataError(f"it is back already; {away} is another file")
            sync_folder(home.parent)
            away.unlink()
        elif os.path.lexists(home) and not (is_home and not is_here):
            advice = (
                "; move it away first" if is_here else f", and the photo is not in {self.folder}"
            )
            raise DataError(f"another file is there now{advice}")
        elif is_here:
            if not move.fits(away):
                raise DataError(f"{away} is not the file that was moved")
            home.parent.mkdir(parents=True, exist_ok=True)
            move_file(away, home, move.fits)
        elif not is_home:
            raise DataError(f"it is neither there nor in {self.folder}")
        with suppress(OSError):
            part_of(home).unlink()
        return is_here

    def _write(self, moves: Sequence[Move]) -> None:
        names = [field.name for field in fields(Move)]
        write_table(self.folder / JOURNAL, [names, *(astuple(move) for move in moves)])
        sync_folder(self.folder)

    def _keep(self, moves: Sequence[Move]) -> None:
        """Shorten the journal to these moves."""
        # On a full disk the longer journal stays, which does no harm.
        with suppress(RecycleNetError, OSError):
            if moves:
                self._write(moves)
            else:
                (self.folder / JOURNAL).unlink()


def restore(folder: Path) -> Outcome:
    """Move everything in a quarantine back; remove the folder if nothing else is in it.

    Raises:
        UsageError: it is no quarantine folder.
        DataError: its journal is damaged.
        RecycleNetError: another process has it open.
    """
    read_journal(folder)
    with open_quarantine(folder) as quarantine:
        return quarantine.restore()


def is_quarantine(folder: Path) -> bool:
    """Return whether `data clean` has filled a folder, whose photos belong to no dataset."""
    journal = folder / JOURNAL
    try:
        if not journal.is_file():
            return False
        with journal.open("rb") as file:
            return b"path,place,reason,sha256" in file.readline(200).replace(b'"', b"")
    except OSError:
        return False


def read_journal(folder: Path) -> list[Move]:
    """Return what was moved into a quarantine folder.

    Raises:
        UsageError: it is no quarantine folder.
        DataError: its journal is damaged.
    """
    path = folder / JOURNAL
    try:
        names, *rows = [row for _, row in read_table(path)] or [[]]
    except UsageError as error:
        raise UsageError(f"{folder} is not a quarantine folder: {error}") from error
    except DataError as error:
        raise DataError(f"{path} is damaged: {error}") from error
    columns = [field.name for field in fields(Move)]
    # Journals of earlier versions have no column for links.
    if names not in (columns, columns[:-1]) or any(len(row) != len(names) for row in rows):
        raise DataError(f"{path} is damaged: its columns are wrong")
    moves = [Move(*row) for row in rows]
    for move in moves:
        plain = os.path.isabs(move.path) and os.path.normpath(move.path) == move.path  # noqa: PTH117
        if not _PLACE.fullmatch(move.place) or not plain or "\0" in move.path + move.link:
            raise DataError(f"{path} is damaged: it moves {move.place!r} to {move.path!r}")
    if len({move.place for move in moves}) < len(moves):
        raise DataError(f"{path} is damaged: it lists a file twice")
    return moves


def _check(move: Move, departure: Departure) -> None:
    """Look at a photo once more before it goes.

    Raises:
        DataError: it, or the photo it is a copy of, is not what was scanned.
        OSError: it cannot be read.
    """
    sample = departure.sample
    same = not move.link or readable_digest(sample.path) == sample.sha256
    if not same or not move.fits(Path(move.path)):
        raise DataError("it changed since the scan")
    stays = departure.stays
    if stays is not None and (reason := change_since_scan(stays)):
        raise DataError(f"it is a copy of {stays.path}, but that {reason}")


def _because(path: Path, error: DataError | OSError) -> str:
    return f"{show_path(path)}: {getattr(error, 'strerror', None) or error}"


def _clear(folder: Path) -> None:
    """Delete what only helped to write."""
    with suppress(OSError):
        for path in folder.iterdir():
            if path.name == _LOCK or PART.fullmatch(path.name):
                path.unlink()


def _is_home(move: Move) -> bool:
    try:
        return move.fits(Path(move.path))
    except OSError:
        return False
