"""Listing the training runs below a folder."""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from recyclenet.core.run_folder import RunFolder
from recyclenet.core.toml import read_toml
from recyclenet.data.folders import LeftOut, Listing, walk
from recyclenet.data.manifest import read_manifest
from recyclenet.errors import ModelFileError, RecycleNetError, UsageError
from recyclenet.inference.session import read_info

FINISHED, RESUMABLE, DAMAGED = "finished", "can be resumed", "damaged"
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """What is known of one run; None where it cannot be read.

    Attributes:
        folder: the run folder.
        name: its path below the folder that was searched.
        recipe: name of the recipe.
        backbone: name of the backbone.
        num_photos: number of photos of all splits.
        num_classes: number of classes.
        num_epochs: number of epochs done.
        max_epochs: number of epochs of the recipe.
        best_accuracy: best validation accuracy of an epoch, 0 to 1.
        state: `FINISHED`, `RESUMABLE` or `DAMAGED`.
        problem: why it is damaged; empty otherwise.
        changed: when one of its files last changed, with time zone, ISO 8601; empty if unknown.
    """

    folder: Path
    name: str
    recipe: str | None
    backbone: str | None
    num_photos: int | None
    num_classes: int | None
    num_epochs: int
    max_epochs: int | None
    best_accuracy: float | None
    state: str
    problem: str
    changed: str

    def to_row(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        best = self.best_accuracy
        return {
            **self.__dict__,
            "folder": str(self.folder),
            "best_accuracy": None if best is None else round(best, 6),
        }


def list_runs(
    folder: str | os.PathLike[str] = ".", *, left_out: LeftOut = lambda _: None
) -> list[RunSummary]:
    """Return the runs in a folder and in the folders below it, in order.

    A folder is a run if it holds a recipe and another file of a run, or a checkpoint. Nothing is
    changed, no weights are loaded, and links to folders are not followed.

    Args:
        folder: where to search.
        left_out: is told of each folder that cannot be read.

    Raises:
        UsageError: there is no such folder.
    """
    top = Path(folder)
    if not top.is_dir():
        raise UsageError(f"there is no folder {top}")
    return [
        _summary(Path(place), os.path.relpath(place, top))
        for place, listing in walk(os.fspath(folder), left_out, reports_links=False)
        if _is_run(place, listing)
    ]


def _is_run(place: str, listing: Listing) -> bool:
    run = RunFolder(Path(place))
    others = {run.manifest_file.name, run.metrics_file.name, run.model.name}
    has_checkpoints = run.last.parent.name in listing.folders
    if run.recipe_file.name in listing.files:
        return has_checkpoints or not others.isdisjoint(listing.files)
    return has_checkpoints and (run.last.is_file() or run.best.is_file())


def _summary(folder: Path, name: str) -> RunSummary:
    run = RunFolder(folder)
    problems: list[str] = []

    def tried(read: Callable[[], T]) -> T | None:
        try:
            return read()
        except (RecycleNetError, OSError) as error:
            problems.append(str(error))
            return None

    recipe = tried(lambda: read_toml(run.recipe_file)) or {}
    manifest = tried(lambda: read_manifest(run.manifest_file))
    epochs = tried(lambda: run.metrics) or []
    is_finished = os.path.lexists(run.model)
    tried(lambda: read_info(run.model) if is_finished else _check_checkpoint(run))
    model, fit = _table(recipe, "model"), _table(recipe, "fit")
    backbone = _text(model, "backbone")
    if recipe and backbone is None:
        problems.append(f"{run.recipe_file} names no backbone")
    max_epochs = fit.get("epochs")
    accuracies = [row["val_accuracy"] for row in epochs if math.isfinite(row["val_accuracy"])]
    return RunSummary(
        folder=folder,
        name=name,
        recipe=_text(recipe, "name"),
        backbone=backbone,
        num_photos=None if manifest is None else len(manifest),
        num_classes=None if manifest is None else len(manifest.class_names),
        num_epochs=len(epochs),
        max_epochs=max_epochs if type(max_epochs) is int and 0 < max_epochs < 10**9 else None,
        best_accuracy=max(accuracies, default=None),
        state=DAMAGED if problems else FINISHED if is_finished else RESUMABLE,
        problem="; ".join(problems),
        changed=_changed(run),
    )


def _check_checkpoint(run: RunFolder) -> None:
    """Refuse a checkpoint that is cut off; without one, a resumed run starts anew.

    Raises:
        ModelFileError: it is no zip archive, which PyTorch writes.
    """
    if run.last.is_file() and not zipfile.is_zipfile(run.last):
        raise ModelFileError(f"{run.last} is damaged; train anew")


def _changed(run: RunFolder) -> str:
    with suppress(ValueError, OverflowError, OSError):  # no file, or a time outside the calendar
        return datetime.fromtimestamp(max(_times(run))).astimezone().isoformat(timespec="seconds")
    return ""


def _times(run: RunFolder) -> Iterator[float]:
    for path in run.files:
        with suppress(OSError):
            yield path.stat().st_mtime


def _table(values: dict[str, Any], key: str) -> dict[str, Any]:
    found = values.get(key)
    return found if isinstance(found, dict) else {}


def _text(values: dict[str, Any], key: str) -> str | None:
    found = values.get(key)
    return found if isinstance(found, str) and found else None
