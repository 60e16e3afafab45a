"""Searching folders for pictures.

A search enters real folders only, so it ends and meets each file once, however links lie. A link
to a folder is followed where a user names it: as an argument, as a dataset or as a class folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from recyclenet.core.images import SUFFIXES
from recyclenet.core.text import show_path
from recyclenet.data.quality.quarantine import is_quarantine

# Is told, in one line, of each folder that a search does not enter.
LeftOut: TypeAlias = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Listing:
    """The names in a folder, each kind in order.

    Attributes:
        folders: real folders, without quarantines.
        links: links to folders.
        files: everything else.
    """

    folders: list[str]
    links: list[str]
    files: list[str]


def list_folder(place: str, *, hidden: bool = False) -> Listing:
    """Return what lies in a folder.

    Args:
        place: the folder; "" for the current one.
        hidden: also return names that begin with a dot.

    Raises:
        OSError: it cannot be read.
    """
    listing = Listing([], [], [])
    with os.scandir(place or os.curdir) as entries:
        for entry in entries:
            if entry.name.startswith(".") and not hidden:
                continue
            if not _is_folder(entry):
                listing.files.append(entry.name)
            elif entry.is_symlink():
                listing.links.append(entry.name)
            elif not is_quarantine(Path(entry.path)):
                listing.folders.append(entry.name)
    listing.folders.sort()
    listing.links.sort()
    listing.files.sort(key=_natural)
    return listing


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # such as a link to itself
        return False


def walk(
    top: str, left_out: LeftOut, *, reports_links: bool = True
) -> Iterator[tuple[str, Listing]]:
    """Yield a folder and the real folders below it, each with what lies in it, in order.

    Args:
        top: the folder.
        left_out: is told of each folder that cannot be read.
        reports_links: whether it is also told of each link to a folder.
    """
    waiting = [top]
    while waiting:
        place = waiting.pop()
        try:
            listing = list_folder(place)
        except OSError as error:
            left_out(f"cannot read the folder {show_path(place or os.curdir)}: {error.strerror}")
            continue
        for name in listing.links if reports_links else ():
            left_out(why_not_followed(os.path.join(place, name)))  # noqa: PTH118
        yield place, listing
        waiting += [os.path.join(place, name) for name in reversed(listing.folders)]  # noqa: PTH118


def find_pictures(folder: str, left_out: LeftOut) -> Iterator[str]:
    """Yield the picture files of a folder and of the real folders below it, in order."""
    for place, listing in walk(folder, left_out):
        for name in listing.files:
            if os.path.splitext(name)[1].lower() in SUFFIXES:  # noqa: PTH122
                yield os.path.join(place, name)  # noqa: PTH118


def is_loop(link: str) -> bool:
    """Return whether a link leads to the folder it lies in, or to one above."""
    here = Path(os.path.realpath(os.path.dirname(link) or os.curdir))  # noqa: PTH120
    return here.is_relative_to(os.path.realpath(link))


def why_not_followed(link: str) -> str:
    """Return a line about a link to a folder."""
    if is_loop(link):
        return f"{show_path(link)} leads back to its own folder"
    return f"{show_path(link)} is a link to a folder, and a search does not follow it"


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key that puts photo2 before photo10."""
    return [
        (int(part), "") if part.isdecimal() and part.isascii() else (-1, part)
        for part in re.split(r"([0-9]+)", name)
        if part
    ]


def is_label(text: str) -> bool:
    """Return whether a class folder, or a photo in it, can bear this name."""
    usable = text.isprintable() and not set(text) & set("/\\") and text[:1] != "."
    return usable and 0 < len(text.encode()) <= 200
