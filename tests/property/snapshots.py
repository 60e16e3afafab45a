"""What a tree is like: every file, link and folder, byte for byte."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """One thing in a tree.

    Attributes:
        kind: the type bits of its mode.
        mode: its permissions.
        time_ns: when it was last changed; 0 for folders, which change with what is in them.
        content: digest of a file's bytes, or a link's target.
    """

    kind: int
    mode: int
    time_ns: int
    content: str


Snapshot = dict[str, Entry]


def snapshot(root: Path) -> Snapshot:
    """Describe everything below a folder by its path there."""
    found: Snapshot = {}
    waiting = [""]
    while waiting:
        place = waiting.pop()
        for item in os.scandir(root / place):
            path = f"{place}/{item.name}".lstrip("/")
            status = item.stat(follow_symlinks=False)
            kind = stat.S_IFMT(status.st_mode)
            content = ""
            if stat.S_ISLNK(kind):
                content = os.readlink(item.path)
            elif stat.S_ISREG(kind):
                with open(item.path, "rb") as file:
                    content = hashlib.file_digest(file, "sha256").hexdigest()
            elif stat.S_ISDIR(kind):
                waiting.append(path)
            time_ns = 0 if stat.S_ISDIR(kind) else status.st_mtime_ns
            found[path] = Entry(kind, stat.S_IMODE(status.st_mode), time_ns, content)
    return found


def changes(before: Snapshot, after: Snapshot) -> dict[str, str]:
    """Return what became of each path that is not as it was: made, gone or changed."""
    words = {}
    for path in sorted(before.keys() | after.keys()):
        if path not in before:
            words[path] = "made"
        elif path not in after:
            words[path] = "gone"
        elif before[path] != after[path]:
            words[path] = "changed"
    return words
