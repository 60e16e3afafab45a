"""What to collect: lists of classes and of addresses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from recyclenet.core.files import read_rows
from recyclenet.data.sources.web import check_url
from recyclenet.errors import UsageError


@dataclass(frozen=True, slots=True)
class Wanted:
    """One class to collect.

    Attributes:
        label: its name.
        keyword: what to search for.
        target: how many photos to have in the end.
    """

    label: str
    keyword: str
    target: int


def read_classes(path: Path, target: int) -> list[Wanted]:
    """Read a list of classes: a line each, LABEL or LABEL,KEYWORD or LABEL,KEYWORD,TARGET.

    Without a keyword, a label such as "可回收物_鼠标" (group_item) is searched by its item.

    Raises:
        UsageError: the file cannot be read, or has no classes.
    """
    classes = []
    for place, label, keyword, count in _rows(path):
        if count and not re.fullmatch("0*[1-9][0-9]{0,8}", count):
            raise UsageError(f"{place}: the number of photos cannot be {count[:40]!r}")
        word = keyword or label.partition("_")[2] or label
        classes.append(Wanted(label, word, int(count) if count else target))
    return classes


def read_addresses(path: Path) -> list[tuple[str, str, str]]:
    """Read a list of addresses: a line each, LABEL,URL or LABEL,URL,LICENCE.

    Raises:
        UsageError: the file cannot be read, or a line is something else.
    """
    found = []
    for place, label, url, licence in _rows(path):
        try:
            found.append((label, check_url(url), licence))
        except UsageError as error:
            raise UsageError(f"{place}: {error}") from None
    return found


def _rows(path: Path) -> list[tuple[str, str, str, str]]:
    """Return the lines of a list: where each is, a label, and two more cells."""
    rows = []
    for number, row in read_rows(path, wrong=UsageError):
        place, (label, *more) = f"{path}, line {number}", (c.strip() for c in [*row, "", "", ""])
        if label.startswith("#"):
            continue
        if not is_label(label):
            raise UsageError(f"{place}: {label!r} cannot be the name of a class folder")
        rows.append((place, label, more[0], more[1]))
    if not rows:
        raise UsageError(f"{path} is empty")
    return rows


def is_label(text: str) -> bool:
    """Whether a class folder, or a photo in it, can bear this name."""
    usable = text.isprintable() and not set(text) & set("/\\") and text[:1] != "."
    return usable and 0 < len(text.encode()) <= 200
