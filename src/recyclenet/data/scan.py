"""From whatever a user points at, a CSV or a folder of folders, to a manifest."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

from recyclenet.core.images import SUFFIXES
from recyclenet.data.manifest import (
    MANIFEST_NAME,
    Manifest,
    Sample,
    read_manifest,
    trashnet_manifest,
)
from recyclenet.errors import UsageError

_SPLIT_FOLDERS = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}


def load_dataset(source: Path) -> Manifest:
    """Read a dataset.

    Args:
        source: a CSV manifest; or a folder that holds a `manifest.csv`, or one folder a class, or
            train/val/test folders with one folder a class in each. A folder of TrashNet photos
            gets the published splits.

    Returns:
        The manifest; a class folder's pictures may lie in folders below it.

    Raises:
        UsageError: the source does not exist, or holds no labelled pictures.
        DataError: its manifest cannot be used.
    """
    if source.is_file():
        if source.suffix.lower() != ".csv":
            raise UsageError(f"{source} is neither a folder nor a .csv manifest")
        return read_manifest(source)
    if not source.is_dir():
        raise UsageError(f"there is no folder or manifest {source}")
    if (source / MANIFEST_NAME).is_file():
        return read_manifest(source / MANIFEST_NAME)
    folders = _subfolders(source)
    if folders and all(folder.name.lower() in _SPLIT_FOLDERS for folder in folders):
        samples = tuple(
            replace(sample, split=_SPLIT_FOLDERS[folder.name.lower()])
            for folder in folders
            for sample in _class_folders(_subfolders(folder))
        )
    else:
        samples = tuple(_class_folders(folders))
    if not samples:
        raise UsageError(
            f"{source} holds no pictures in class folders; expected {source}/CLASS/PICTURE.jpg"
        )
    return _with_published_splits(Manifest(samples))


def find_pictures(folder: Path) -> Iterator[Path]:
    """Yield the picture files of a folder and the folders below it, sorted, links not followed."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names, key=_natural):
            if os.path.splitext(name)[1].lower() in SUFFIXES and not name.startswith("."):  # noqa: PTH122
                yield Path(place, name)


def _class_folders(folders: list[Path]) -> Iterator[Sample]:
    for folder in folders:
        for path in find_pictures(folder):
            yield Sample(path, folder.name)


def _subfolders(folder: Path) -> list[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise UsageError(f"cannot read the folder {folder}: {error.strerror}") from error
    return [entry for entry in entries if entry.is_dir() and not entry.name.startswith((".", "__"))]


def _with_published_splits(manifest: Manifest) -> Manifest:
    """Give TrashNet its published splits, if nearly all of its photos and no others are here."""
    published = published_splits()
    found = {f"{sample.label}/{sample.path.name}": sample for sample in manifest}
    is_trashnet = found.keys() <= published.keys() and len(found) > 0.9 * len(published)
    if manifest.has_splits or not is_trashnet:
        return manifest
    return Manifest(tuple(replace(sample, split=published[name]) for name, sample in found.items()))


@cache
def published_splits() -> dict[str, str]:
    """Return TrashNet's published split of each photo, by `label/file name`."""
    return {f"{sample.label}/{sample.path.name}": sample.split for sample in trashnet_manifest()}


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key that puts photo2 before photo10."""
    return [
        (int(part), "") if part.isdecimal() and part.isascii() else (-1, part)
        for part in re.split(r"([0-9]+)", name)
        if part
    ]
