"""A folder of models that a service uses, with the history of what replaced what.

    models/waste.onnx            the model in use; the service calls it "waste"
    models/history/log.jsonl     one line for each promotion and rollback
    models/history/DIGEST.onnx   earlier models

A change is first written into the log, then the model file is replaced. If the process is killed
in between, the file still has the digest that the last line replaces, and that line does not count.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recyclenet.core.files import atomic_writer, read_text, write_bytes, write_text
from recyclenet.core.model_info import check_seal
from recyclenet.core.text import show_path
from recyclenet.data.folders import is_label
from recyclenet.data.lock import lock_file
from recyclenet.data.manifest import readable_digest
from recyclenet.errors import DataError, ModelFileError, RecycleNetError, UsageError, nearest

PROMOTE, ROLLBACK = "promote", "rollback"
_DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Change:
    """One replacement of a model; one line of the log.

    Attributes:
        time: when, UTC, as in 2026-11-25T10:08:00.
        action: `PROMOTE` or `ROLLBACK`.
        name: of the model.
        sha256: digest of the new file.
        previous: digest of the file before; empty if there was none.
        forced: whether it was promoted although a class gets worse, or without a comparison.
        classes: what changed for each class, as in `ClassChange.to_row`; empty if not compared.
    """

    time: str
    action: str
    name: str
    sha256: str
    previous: str
    forced: bool = False
    classes: tuple[dict[str, Any], ...] = ()


@contextmanager
def open_models(folder: Path) -> Iterator[ModelFolder]:
    """Open a folder of models for as long as the block runs; no other process can meanwhile.

    Args:
        folder: created if missing.

    Raises:
        UsageError: it is no folder.
        DataError: its log is damaged.
        RecycleNetError: another process changes it, or it cannot be written.
    """
    if os.path.lexists(folder) and not folder.is_dir():
        raise UsageError(f"{show_path(folder)} is not a folder; give a folder of .onnx files")
    place = folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = lock_file(place, "`models promote` or `models rollback`")
    except OSError as error:
        raise RecycleNetError(
            f"cannot write to {show_path(folder)}: {error.strerror}; check its permissions"
        ) from error
    with lock:
        try:
            yield ModelFolder(folder)
        finally:
            with suppress(OSError):  # while it is locked; whoever waits for it notices
                place.unlink()


class ModelFolder:
    """A locked folder of models; see `open_models`.

    Attributes:
        folder: the folder.
        history: the folder with the log and the earlier models.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.history = folder / "history"
        self._log = self.history / "log.jsonl"
        self._changes = _read_log(self._log)

    def choose(self, name: str | None, default: str | None = None) -> str:
        """Return the name of the model to change.

        Args:
            name: as the user gave it; None for the only model.
            default: the name if there is no model yet and none is given; None if there must be one.

        Raises:
            UsageError: the name cannot be that of a model, or there is not exactly one model.
        """
        names = sorted(path.stem for path in self.folder.glob("*.onnx"))
        where = show_path(self.folder)
        if name is not None:
            if not is_label(name):
                raise UsageError(f"{name[:100]!r} cannot be the name of a model")
            if name not in names and (names or default is None):
                raise UsageError(f"no model {name!r} in {where}: {nearest(name, names)}")
            return name
        if len(names) == 1:
            return names[0]
        if names:
            raise UsageError(f"{where} has {len(names)} models: {', '.join(names)}; give --name")
        if default is None:
            raise UsageError(f"no .onnx file in {where}; give the folder of `serve --models`")
        return default

    def path(self, name: str) -> Path:
        """Return the file of a model."""
        return self.folder / f"{name}.onnx"

    def changes(self, name: str) -> list[Change]:
        """Return the changes of a model, without one that was only planned."""
        found = [change for change in self._changes if change.name == name]
        if found and readable_digest(self.path(name)) == found[-1].previous:
            found.pop()
        return found

    def kept(self, digest: str) -> Path:
        """Return the file of an earlier model."""
        return self.history / f"{digest[:16]}.onnx"

    def replace(self, name: str, content: bytes, action: str, **facts: Any) -> Change:
        """Put a model in place; the one that is there is kept in the history.

        A link is replaced; what it points to stays.

        Args:
            name: of the model.
            content: the new file.
            action: `PROMOTE` or `ROLLBACK`.
            facts: further fields of the `Change`.

        Raises:
            RecycleNetError: something cannot be written; the model in use stays.
        """
        path = self.path(name)
        previous = self._keep(path) if os.path.lexists(path) else ""
        change = Change(
            time=datetime.now(UTC).isoformat(timespec="seconds")[:19],
            action=action,
            name=name,
            sha256=hashlib.sha256(content).hexdigest(),
            previous=previous,
            **facts,
        )
        done = self.changes(name)
        self._write([*(one for one in self._changes if one.name != name or one in done), change])
        with atomic_writer(path, follow=False) as file:
            file.write(content)
        return change

    def rollback(self, name: str) -> Change:
        """Put the previous model back in place.

        Raises:
            UsageError: there is no previous model.
            RecycleNetError: it cannot be read or written.
            ModelFileError: it is damaged.
        """
        before: list[str] = []
        for change in self.changes(name):
            if change.action == PROMOTE:
                before.append(change.previous)
            elif before:
                before.pop()
        if not before or not before[-1]:
            raise UsageError(
                f"nothing to roll back to: {show_path(self.folder)} has no earlier model "
                f"of {name!r}"
            )
        path = self.kept(before[-1])
        try:
            content = path.read_bytes()
        except OSError as error:
            raise RecycleNetError(
                f"the previous model {show_path(path)} cannot be read: {error.strerror}; promote "
                f"another model"
            ) from error
        if check_seal(content, show_path(path)) != before[-1]:
            raise ModelFileError(f"{show_path(path)} is not the model that the log names")
        return self.replace(name, content, ROLLBACK)

    def _keep(self, path: Path) -> str:
        """Copy the model in use into the history, unless it is there; return its digest."""
        try:
            if not path.is_file():
                raise OSError(0, "it is not a file; move it away")
            content = path.read_bytes()
        except OSError as error:
            raise RecycleNetError(
                f"cannot read the current model {show_path(path)}: {error.strerror}"
            ) from error
        digest = hashlib.sha256(content).hexdigest()
        if readable_digest(self.kept(digest)) != digest:
            write_bytes(self.kept(digest), content)
        return digest

    def _write(self, changes: Sequence[Change]) -> None:
        lines = (json.dumps(asdict(change)) for change in changes)
        write_text(self._log, "".join(f"{line}\n" for line in lines))
        self._changes = list(changes)


def _read_log(path: Path) -> list[Change]:
    """Return the changes in a log.

    Raises:
        DataError: a line is damaged; the message names it.
    """
    if not os.path.lexists(path):
        return []
    found = []
    for number, line in enumerate(read_text(path).rstrip("\n").split("\n"), 1):
        change = _parsed(line)
        if change is None:
            raise DataError(f"{show_path(path)}, line {number} is damaged; delete that line")
        found.append(change)
    return found


def _parsed(line: str) -> Change | None:
    try:
        values = json.loads(line)
        texts = ("time", "action", "name", "sha256", "previous")
        if set(values) != {field.name for field in fields(Change)}:
            return None
        if not all(isinstance(values[key], str) for key in texts):
            return None
    except (ValueError, TypeError, RecursionError):
        return None
    whole = values["action"] in (PROMOTE, ROLLBACK) and is_label(values["name"])
    digests = _DIGEST.fullmatch(values["sha256"]) and (
        not values["previous"] or _DIGEST.fullmatch(values["previous"])
    )
    if not whole or not digests or not isinstance(values["classes"], list):
        return None
    return Change(**{**values, "classes": tuple(values["classes"])})
