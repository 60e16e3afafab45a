"""Which file a path means, however it is written."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

# A system follows no more links in a row than this.
_MAX_LINKS = 40


def true_path(path: Path) -> Path:
    """Return an absolute path to the same entry of a folder, with no link or ".." on the way.

    The last part stays as it is: a link is an entry of its own.
    """
    return Path(os.path.realpath(path.parent), path.name)


def identity(path: Path) -> tuple[int, int, str]:
    """Return a key that is the same for every path of one file, and different for other files.

    A link counts as a file of its own, and so does each of several hard links: any of them can be
    removed without harm to the others.
    """
    try:
        found = path.lstat()
    except (OSError, ValueError):
        return 0, 0, str(true_path(path))
    alone = found.st_nlink == 1 and found.st_ino
    return found.st_dev, found.st_ino, "" if alone else str(true_path(path))


def find_repeats(paths: Sequence[Path]) -> dict[int, int]:
    """Return the rows that repeat the file of another row, each with that other row.

    A link repeats the file that it leads to. If no row names that file, its links repeat nothing:
    they are copies, any of which can be removed.
    """
    files: dict[tuple[int, int, str], list[int]] = defaultdict(list)
    for row, path in enumerate(paths):
        end = Path(os.path.realpath(path)) if os.path.islink(path) else path  # noqa: PTH114
        files[identity(end)].append(row)
    repeats = {}
    for rows in files.values():
        if len(rows) == 1:
            continue
        num_links = {row: _num_links(paths[row]) for row in rows}
        nearest = min(num_links.values())
        kept: dict[tuple[int, int, str], int] = {}
        for row in sorted(rows, key=lambda row: num_links[row]):
            if num_links[row] == nearest:
                first = kept.setdefault(identity(paths[row]), row)
            else:
                first = next(iter(kept.values()))
            if first != row:
                repeats[row] = first
    return repeats


def _num_links(path: Path) -> int:
    """Return how many links lead from a path to its file."""
    count = 0
    while count < _MAX_LINKS and os.path.islink(path):  # noqa: PTH114 - Path's raises of long names
        path = path.parent / path.readlink()
        count += 1
    return count
