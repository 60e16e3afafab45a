"""Finding pictures: files, folders and globs."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from recyclenet.core.text import show_path
from recyclenet.data.folders import LeftOut, find_pictures, list_folder, walk, why_not_followed
from recyclenet.errors import UsageError


def expand(arguments: Sequence[str], left_out: LeftOut) -> Iterator[str]:
    """Return picture paths: files as they are, folders searched, globs (`**` too) expanded.

    All arguments are checked before the first picture is given. A path that does not exist is
    passed on as it is; reading it will say so.

    Args:
        arguments: files, folders and globs.
        left_out: is told once of each folder that cannot be read, and of each link to a folder that
            a search or a glob meets; neither is entered.

    Raises:
        UsageError: a folder holds no pictures, or a glob matches nothing.
    """
    told: set[str] = set()

    def tell(reason: str) -> None:
        if reason not in told:
            told.add(reason)
            left_out(reason)

    return chain.from_iterable([_pictures(argument, tell, told) for argument in arguments])


def find_photos(
    arguments: Sequence[str | os.PathLike[str]], what: str, left_out: LeftOut
) -> list[Path]:
    """Return the photos that files, folders and globs stand for.

    Args:
        arguments: as for `expand`.
        what: is asked for if a file does not exist, such as "photos of other things".
        left_out: as for `expand`.

    Raises:
        UsageError: a file does not exist, a folder holds no pictures, or a glob matches nothing.
    """
    found = [Path(path) for path in expand([os.fspath(path) for path in arguments], left_out)]
    for path in found:
        if not os.path.lexists(path):
            raise UsageError(f"{show_path(path)} does not exist; name {what}")
    return found


def _pictures(argument: str, left_out: LeftOut, told: set[str]) -> Iterator[str]:
    num_told = len(told)
    if glob.has_magic(argument) and not os.path.lexists(argument):
        places = sorted(_matches(argument, left_out))
        # A folder and what lies in it may both match.
        pictures = iter(
            {
                os.path.normpath(path): path
                for place in places
                for path in _search(place, left_out)
            }.values()
        )
        problem = f"nothing matches {show_path(argument)}"
    else:
        pictures = _search(argument, left_out)
        problem = f"the folder {show_path(argument)} holds no pictures"
    first = next(pictures, None)
    if first is not None:
        return chain([first], pictures)
    if len(told) == num_told:
        raise UsageError(problem)
    return iter(())


def _search(place: str, left_out: LeftOut) -> Iterator[str]:
    if os.path.isdir(place):  # noqa: PTH112 - unlike Path's, it raises nothing
        return find_pictures(place, left_out)
    return iter([place])


def _matches(pattern: str, left_out: LeftOut) -> list[str]:
    """Return the files and folders that a glob matches.

    Unlike `glob.glob` it enters no link that the pattern does not spell out, and any depth will do.
    """
    parts = [part for part in pattern.split("/") if part]
    places = ["/" if pattern.startswith("/") else ""]
    for number, part in enumerate(parts):
        is_last = number == len(parts) - 1
        if part == "**" and is_last:
            break  # the folders themselves: they will be searched
        if part == "**":
            found = (below for place in places for below, _ in walk(place, left_out))
        elif glob.has_magic(part):
            found = (path for place in places for path in _named(place, part, left_out))
        else:
            found = (os.path.join(place, part) for place in places)  # noqa: PTH118
        exists = os.path.lexists if is_last else os.path.isdir
        places = [place for place in dict.fromkeys(found) if exists(place or os.curdir)]
    return places


def _named(folder: str, pattern: str, left_out: LeftOut) -> Iterator[str]:
    """Yield what a pattern without `**` matches in one folder."""
    try:
        listing = list_folder(folder, hidden=pattern.startswith("."))
    except OSError as error:
        left_out(f"cannot read the folder {show_path(folder or os.curdir)}: {error.strerror}")
        return
    for link in fnmatch.filter(listing.links, pattern):
        left_out(why_not_followed(os.path.join(folder, link)))  # noqa: PTH118
    for name in fnmatch.filter([*listing.folders, *listing.files], pattern):
        yield os.path.join(folder, name)  # noqa: PTH118
