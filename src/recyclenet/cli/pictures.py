"""From the arguments of a command to pictures."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from recyclenet.data.scan import find_pictures
from recyclenet.errors import UsageError


def expand(arguments: Sequence[str]) -> Iterator[str]:
    """Return picture paths: files as they are, folders searched, globs (`**` too) expanded.

    All arguments are checked before the first picture is given. A path that does not exist is
    passed on as it is; reading it will say so.

    Raises:
        UsageError: a folder holds no pictures, or a glob matches nothing.
    """
    return chain.from_iterable([_pictures(argument) for argument in arguments])


def _pictures(argument: str) -> Iterator[str]:
    if glob.has_magic(argument) and not os.path.lexists(argument):
        # `**` matches a folder and what lies in it too, yet each picture comes once; and it
        # matches a folder that is not there.
        matches = glob.glob(argument, recursive=True)  # noqa: PTH207 - `**` of any root
        places = sorted(filter(os.path.lexists, matches))
        found = {os.path.normpath(path): path for place in places for path in _search(place)}
        if not found:
            raise UsageError(f"nothing matches {argument}")
        return iter(found.values())
    pictures = _search(argument)
    first = next(pictures, None)
    if first is None:
        raise UsageError(f"the folder {argument} holds no pictures")
    return chain([first], pictures)


def _search(place: str) -> Iterator[str]:
    if place and Path(place).is_dir():
        return map(os.fspath, find_pictures(Path(place)))
    return iter([place])
