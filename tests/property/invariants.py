"""What must hold after every command, whatever it was given."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from property.cases import Case
from property.datasets import BAD, GOOD
from property.running import Result
from property.snapshots import Snapshot, changes

# Terminals obey these; newline and tab are harmless.
OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# Where libraries keep what they may, such as Matplotlib's list of fonts.
CACHES = ("home/.cache", "home/.config")
FETCHING = ("data download", "data collect")
USAGE, PARTIAL, UNTRUSTED = 2, 3, 4


def broken(
    case: Case, root: Path, before: Snapshot, after: Snapshot, result: Result
) -> Iterator[str]:
    """Yield what does not hold, in words."""
    out, err = (text.decode(errors="replace") for text in (result.out, result.err))
    yield from _output(case, result.code, out, err)
    yield from _files(case, root, before, after, result.code)
    if result.asked and case.command.words not in FETCHING:
        yield f"it asked {result.asked}"
    if result.left:
        yield f"it left processes: {result.left}"


def _output(case: Case, code: int, out: str, err: str) -> Iterator[str]:
    if "Traceback (most recent call last)" in err or "defect" in err.lower():
        yield "a traceback or a defect on stderr"
    if code not in range(5):
        yield f"exit code {code}"
    lines = err.splitlines()
    errors = [line for line in lines if line.lower().startswith("error:")]
    if code in (USAGE, UNTRUSTED) and (len(errors) != 1 or lines[-1] != errors[0]):
        yield f"with exit code {code} the last line of stderr must be the only error"
    if code and not (err.strip() or out.strip()):
        yield f"exit code {code} without a word"
    if code == PARTIAL and not err.strip():
        yield "partly done, and stderr does not say what is not"
    for stream, text in (("stdout", out), ("stderr", err)):
        if found := OBEYED.search(text):
            yield f"{found[0]!r} on {stream}"
    if case.has("as_json"):
        for line in out.splitlines():
            try:
                json.loads(line, parse_constant=_no_json)
            except ValueError:
                yield f"not strict JSON on stdout: {line[:200]!r}"
                break


def _no_json(text: str) -> None:
    raise ValueError(text)


def _files(case: Case, root: Path, before: Snapshot, after: Snapshot, code: int) -> Iterator[str]:
    changed = changes(before, after)
    places = [_resolved(root, output.path) for output in case.outputs]
    changed = {path: what for path, what in changed.items() if not path.startswith(CACHES)}
    if changed and (code == USAGE or case.has("dry_run")):
        yield f"nothing may be written, yet: {changed}"
    if code == 0 and not case.has("dry_run"):
        for output in case.outputs:
            if output.certain and not os.path.lexists(root / output.path):
                yield f"exit code 0, and {output.path!r} is not there"
    for path, what in changed.items():
        if not _may(case, places, path, what, before):
            yield f"{path!r} was {what}"
        elif path in after and path not in places and re.search(r"\.(part|tmp)$", path):
            yield f"{path!r} was left behind"


def _resolved(root: Path, path: str) -> str:
    """Return where an output lies, links followed: a link stays, and what it points to is made."""
    return os.path.relpath(os.path.realpath(root / path), os.path.realpath(root))


def _may(case: Case, places: list[str], path: str, what: str, before: Snapshot) -> bool:
    """Whether this command may have changed this path."""
    if _is_read(case, path) and not (case.has("apply") and what == "gone"):
        return case.command.words == "data undo" or case.has("resume")
    for output, place in zip(case.outputs, places, strict=True):
        if place.startswith(f"{path}/") and what == "made":
            return True
        if path == place or (output.is_folder and path.startswith(f"{place}/")):
            is_new = path not in before or stat.S_ISDIR(before[path].kind)
            return is_new or case.has("force") or _is_earlier(case, path)
    return case.command.words == "data undo" or (case.has("apply") and what == "gone")


def _is_read(case: Case, path: str) -> bool:
    """Whether the command reads this path, itself or as a photo in a folder that it reads."""
    item = case.world.items.get(path)
    if item is None or item.kind == "folder":
        return False
    inside = any(path.startswith(f"{folder}/") for folder in case.reads)
    return path in case.reads or (inside and item.what in (*GOOD, *BAD) and item.what != "empty")


def _is_earlier(case: Case, path: str) -> bool:
    """Whether a file is what an earlier command wrote, or looks just like it, or is empty."""
    item = case.world.items.get(path)
    if item is None:
        return False
    is_table = item.content.startswith(b"path,label,split,sha256")
    return bool(item.earlier) or item.what == "empty" or is_table
