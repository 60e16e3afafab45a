"""Moving files so that none is lost, whenever the process is killed."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

# What a killed process leaves of a copy (see `part_of`) or of an atomic write.
PART = re.compile(r"\.[0-9a-f]{16}\.part")


def move_file(source: Path, target: Path, fits: Callable[[Path], bool]) -> None:
    """Move a file or link with its times, also to another file system; replace nothing.

    Killed at any point, it leaves the file at `source`, at `target`, or whole at both.

    Args:
        source: the file or link.
        target: where nothing is yet.
        fits: whether what lies at a path is what should be moved.

    Raises:
        OSError: it cannot be moved, and is where it was.
    """
    try:
        _rename(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        part = part_of(target)
        try:
            _copy(source, part)
            if not fits(part):
                raise OSError(errno.EIO, "it cannot be copied without errors") from None
            _rename(part, target)
        finally:
            with suppress(OSError):
                part.unlink()
        sync_folder(target.parent)
        _remove(source, target)


def _rename(source: Path, target: Path) -> None:
    try:
        # Unlike rename, this never replaces a file.
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except (OSError, NotImplementedError):  # not every file system has hard links
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from None
        source.rename(target)
    else:
        _remove(source, target)


def _remove(source: Path, target: Path) -> None:
    """Remove what has been copied to `target`, or else the copy."""
    try:
        source.unlink()
    except FileNotFoundError:  # somebody else did
        pass
    except OSError:
        target.unlink()
        raise


def _copy(source: Path, target: Path) -> None:
    """Copy a file or link with its times to a name of ours, to the disk."""
    target.unlink(missing_ok=True)  # a killed process has left it
    if source.is_symlink():
        os.symlink(link_text(source), target)  # noqa: PTH211
        shutil.copystat(source, target, follow_symlinks=False)
        return
    with source.open("rb") as old, target.open("xb") as new:
        shutil.copyfileobj(old, new)
        new.flush()
        shutil.copystat(source, target)
        os.fsync(new.fileno())


def part_of(target: Path) -> Path:
    """Return the name under which a copy for `target` is made, always the same."""
    digest = hashlib.sha256(os.fsencode(target.name)).hexdigest()
    return target.with_name(f".{digest[:16]}.part")


def link_text(path: Path) -> str:
    """Return where a link leads, as it says itself; `Path.readlink` would tidy that."""
    return os.readlink(path)  # noqa: PTH115


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlast a power failure, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
