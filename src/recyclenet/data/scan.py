"""From whatever a user points at, a CSV or a folder of folders, to a manifest."""

from __future__ import annotations

import hashlib
import logging
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from recyclenet.core.images import SUFFIXES, decode_image, read_header
from recyclenet.core.progress import Progress, silent
from recyclenet.core.text import show_path
from recyclenet.data.duplicates import SIDE, Pair, find_pairs, perceptual_hashes, with_groups
from recyclenet.data.folders import LeftOut, find_pictures, is_loop, list_folder, why_not_followed
from recyclenet.data.identity import find_repeats
from recyclenet.data.manifest import (
    MANIFEST_NAME,
    Manifest,
    Sample,
    change_since_scan,
    read_manifest,
    readable_digest,
    trashnet_manifest,
)
from recyclenet.errors import DataError, ImageError, UsageError

_log = logging.getLogger(__name__)
# Up to so many photos are described sooner than processes for it have begun.
_FEW = 500
_BATCH = 32
_SPLIT_FOLDERS = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}


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
            f"{source} holds no pictures in class folders; expected {source}/CLASS/PICTURE.jpg"
        )
    return _with_published_splits(Manifest(samples))


def as_manifest(data: str | os.PathLike[str] | Manifest) -> Manifest:
    """Return a dataset, read as `load_dataset` does if it is not loaded yet.

    What is left out goes to the log.
    """
    if isinstance(data, Manifest):
        return data
    return load_dataset(data, partial(_log.warning, "left out: %s"))


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that is not in the manifest, and why.

    Attributes:
        sample: the row it would have been; None for what is no photo.
        reason: one line.
        kind: "unreadable", "folder" (one that was not searched), "repeat" (of another row's file)
            or "changed" (since its row was written).
    """

    sample: Sample | None
    reason: str
    kind: str = "unreadable"


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scan found.

    Attributes:
        manifest: the photos that can be read, described.
        problems: what was left out and why.
        pairs: the rows that show one picture.
    """

    manifest: Manifest
    problems: tuple[Problem, ...]
    pairs: tuple[Pair, ...]


def scan_dataset(source: Path, progress: Progress = silent, *, once: bool = False) -> Scan:
    """Read every photo of a dataset once and describe it; photos that are one share a group.

    Args:
        source: as for `load_dataset`.
        progress: is told how many photos are done.
        once: leave out rows that repeat the file of another row.

    Raises:
        UsageError: the source does not exist, or holds no labelled pictures.
        DataError: no photo can be read.
    """
    from joblib import Parallel, delayed

    folders: dict[str, None] = {}
    manifest = load_dataset(source, folders.setdefault)
    problems = [Problem(None, reason, "folder") for reason in folders]
    if once:
        manifest, repeats = without_repeats(manifest)
        problems += repeats
    described: list[Sample] = []
    # Much of the work holds Python's lock, so many photos are divided among processes.
    parallel = Parallel(
        n_jobs=-1 if len(manifest) > _FEW else 1, return_as="generator", batch_size=_BATCH
    )
    with _deaf_children():
        results = parallel(delayed(_described)(sample) for sample in manifest)
    for done, result in enumerate(results, start=1):
        if isinstance(result, Sample):
            described.append(result)
        else:
            problems.append(result)
        progress(done, len(manifest))
    if not described:
        raise DataError(
            f"none of the {len(manifest)} photos can be read; the first: {problems[0].reason}"
        )
    return group_copies(Manifest(tuple(described)), problems)


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach: this one hears it, and ends them quietly."""
    if threading.current_thread() is not threading.main_thread():  # no other may set a handler
        yield
        return
    # They inherit that the signal is ignored. A Ctrl-C in this tenth of a second is lost.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def without_repeats(manifest: Manifest) -> tuple[Manifest, list[Problem]]:
    """Keep one row of each file; return the others as problems."""
    samples = manifest.samples
    repeats = find_repeats([sample.path for sample in samples])
    problems = []
    for row, first in sorted(repeats.items()):
        sample, kept = samples[row], samples[first]
        reason = f"{show_path(sample.path)} is listed twice: as {show_path(kept.path)} too"
        if kept.label != sample.label:
            reason += f", with the label {kept.label}"
        if kept.split != sample.split:
            reason += f", in the split {kept.split or 'none'}"
        problems.append(Problem(sample, reason, "repeat"))
    kept_rows = (sample for row, sample in enumerate(samples) if row not in repeats)
    return Manifest(tuple(kept_rows)), problems


def unchanged(manifest: Manifest, progress: Progress = silent) -> tuple[Manifest, list[Problem]]:
    """Keep the photos that are as their rows say; return the others as problems.

    Args:
        manifest: photos as a scan describes them.
        progress: called with the number of photos done and the number of all.

    Raises:
        DataError: none is as its row says.
    """
    kept, problems = [], []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for sample, change in zip(manifest, pool.map(change_since_scan, manifest), strict=True):
            if change:
                reason = f"{show_path(sample.path)} {change}"
                problems.append(Problem(sample, reason, "changed"))
            else:
                kept.append(sample)
            progress(len(kept) + len(problems), len(manifest))
    if not kept:
        raise DataError(
            f"none of the {len(manifest)} photos is as it was scanned; the first: "
            f"{problems[0].reason}; scan them again"
        )
    return Manifest(tuple(kept)), problems


def group_copies(manifest: Manifest, problems: Sequence[Problem] = ()) -> Scan:
    """Find the copies among described photos and give them common groups.

    Raises:
        DataError: the rows have no hashes.
    """
    pairs = find_pairs(manifest)
    grouped = with_groups(manifest, (pair.rows for pair in pairs))
    return Scan(grouped, tuple(problems), tuple(pairs))


def _described(sample: Sample) -> Sample | Problem:
    """Return the row with everything its file tells, or why that cannot be read."""
    try:
        decoded = decode_image(sample.path, min_side=SIDE)  # checks that it is a file, and its size
        content = sample.path.read_bytes()
        header = read_header(content)
    except (ImageError, OSError) as error:
        return Problem(replace(sample, sha256=readable_digest(sample.path)), str(error))
    return replace(
        sample,
        sha256=hashlib.sha256(content).hexdigest(),
        width=header.width,
        height=header.height,
        num_bytes=len(content),
        taken=header.taken,
        phash=perceptual_hashes(decoded),
    )


def _class_folders(folders: list[Path], left_out: LeftOut) -> Iterator[Sample]:
    for folder in folders:
        for path in find_pictures(os.fspath(folder), left_out):
            yield Sample(Path(path), folder.name)


def _innermost(source: Path, left_out: LeftOut) -> list[Path]:
    """Return the first folders below `source` that are not alone where they are."""
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
