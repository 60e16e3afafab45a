"""Loading a dataset: from a CSV manifest, or a folder of folders, to a manifest."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

from recyclenet.core.images import SUFFIXES
from recyclenet.data.folders import LeftOut, find_pictures, is_loop, list_folder, why_not_followed
from recyclenet.data.manifest import (
    MANIFEST_NAME,
    Manifest,
    Sample,
    read_manifest,
    trashnet_manifest,
)
from recyclenet.errors import UsageError

_log = logging.getLogger(__name__)
_SPLIT_FOLDERS = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}


def dataset_name(source: str | os.PathLike[str] | Manifest) -> str:
    """Return what reports call a dataset: the name of its file or folder."""
    return "dataset" if isinstance(source, Manifest) else Path(source).name or str(source)


def load_dataset(source: str | os.PathLike[str], left_out: LeftOut = lambda _: None) -> Manifest:
    """Read a dataset.

    Args:
        source: a CSV manifest; or a folder that holds a `manifest.csv`, or one folder a class, or
            train/val/test folders with one folder a class in each; any of these may lie alone in
            further folders, as archives unpack. A folder of TrashNet photos gets the published
            splits.
        left_out: is told of each folder below the class folders that cannot be read, and of each
            link to a folder there.

    Returns:
        The manifest; a class folder's pictures may lie in folders below it. A class folder may be
        a link.

    Raises:
        UsageError: the source does not exist, or holds no labelled pictures.
        DataError: its manifest cannot be used.
    """
    source = Path(source)
    if os.path.isfile(source):  # noqa: PTH113 - unlike Path's, it raises nothing
        if source.suffix.lower() != ".csv":
            raise UsageError(f"{source} is neither a folder nor a .csv manifest")
        return read_manifest(source)
    if not os.path.isdir(source):  # noqa: PTH112
        raise UsageError(f"there is no folder or manifest {source}")
    if (source / MANIFEST_NAME).is_file():
        return read_manifest(source / MANIFEST_NAME)
    folders = _innermost(source, left_out)
    if folders and all(folder.name.lower() in _SPLIT_FOLDERS for folder in folders):
        samples = tuple(
            replace(sample, split=_SPLIT_FOLDERS[folder.name.lower()])
            for folder in folders
            for sample in _class_folders(_subfolders(folder, left_out), left_out)
        )
    else:
        samples = tuple(_class_folders(folders, left_out))
    if not samples:
        raise UsageError(
            f"{source} contains no photos in class folders; expected {source}/CLASS/PICTURE.jpg"
        )
    return _with_published_splits(Manifest(samples))


def as_manifest(data: str | os.PathLike[str] | Manifest) -> Manifest:
    """Return a dataset, read as `load_dataset` does if it is not loaded yet.

    What is left out goes to the log.
    """
    if isinstance(data, Manifest):
        return data
    return load_dataset(data, partial(_log.warning, "left out: %s"))


def _class_folders(folders: list[Path], left_out: LeftOut) -> Iterator[Sample]:
    for folder in folders:
        for path in find_pictures(os.fspath(folder), left_out):
            yield Sample(Path(path), folder.name)


def _innermost(source: Path, left_out: LeftOut) -> list[Path]:
    """Descend through folders that hold nothing but one folder; return the folders found there."""
    folders = _subfolders(source, left_out)
    while len(folders) == 1:
        inner = _subfolders(folders[0], left_out)
        # The household set has these two in every class folder.
        is_class = not inner or {folder.name for folder in inner} <= {"default", "real_world"}
        if is_class or any(path.suffix.lower() in SUFFIXES for path in folders[0].iterdir()):
            break
        folders = inner
    return folders


def _subfolders(folder: Path, left_out: LeftOut) -> list[Path]:
    """Return the folders in a folder, links to others among them."""
    try:
        listing = list_folder(os.fspath(folder))
    except OSError as error:
        raise UsageError(f"cannot read the folder {folder}: {error.strerror}") from error
    entries = {name: folder / name for name in [*listing.folders, *listing.links]}
    loops = [name for name in listing.links if is_loop(os.fspath(entries[name]))]
    for name in loops:
        left_out(why_not_followed(os.fspath(entries.pop(name))))
    return sorted(path for path in entries.values() if not path.name.startswith("__"))


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
