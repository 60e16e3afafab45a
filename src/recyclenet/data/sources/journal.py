"""The journal of a collection: what became of each address."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

from recyclenet.core.files import read_text, write_text
from recyclenet.data.quality.duplicates import HASHES
from recyclenet.data.sources.wanted import is_label
from recyclenet.errors import DataError, RecycleNetError

JOURNAL = "collected.jsonl"


@dataclass(frozen=True, slots=True)
class Found:
    """What became of one address; one line of the journal.

    Attributes:
        url: the address.
        label: the class it was found for.
        path: of the photo in the folder; empty where there is none.
        reason: why not.
        sha256: of the photo's bytes.
        phash: its perceptual hashes.
        licence: as the list of addresses says.
    """

    url: str
    label: str
    path: str = ""
    reason: str = ""
    sha256: str = ""
    phash: str = ""
    licence: str = ""


def append_journal(path: Path, found: Found) -> None:
    """Add a line to the journal.

    Raises:
        RecycleNetError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(found), ensure_ascii=False) + "\n")
    except OSError as error:
        raise RecycleNetError(f"cannot write {path}: {error.strerror or error}") from error


def read_journal(path: Path) -> list[Found]:
    """Return what earlier calls did; a last line cut off by a crash counts as not written.

    Raises:
        DataError: a line is not as it was written; the message names it.
    """
    if not os.path.lexists(path):
        return []
    lines = read_text(path).split("\n")
    rows: dict[str, Found] = {}
    for number, line in enumerate(lines, 1):
        found = _parsed(line) if line else None
        if found is not None:
            rows.setdefault(found.url, found)
        elif line and number < len(lines):
            raise DataError(f"{path}, line {number} is damaged; delete that line")
    if lines[-1]:  # without its line break
        whole = lines if _parsed(lines[-1]) else lines[:-1]
        write_text(path, "".join(f"{good}\n" for good in whole))
    return list(rows.values())


def _parsed(line: str) -> Found | None:
    """Return what a line of the journal says; None if no run of ours can have written it."""
    try:
        found = Found(**json.loads(line))
    except (ValueError, TypeError, RecursionError):
        return None
    if not all(isinstance(value, str) for value in astuple(found)) or not found.url:
        return None
    if not found.path:
        return found
    # The path names a photo in a class folder here, and nothing else.
    folder, _, name = found.path.partition("/")
    placed = is_label(folder) and is_label(name)
    known = re.fullmatch("[0-9a-f]{64}", found.sha256) and HASHES.fullmatch(found.phash)
    return found if placed and known else None
