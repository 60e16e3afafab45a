"""Checking a copy of TrashNet against the digests in the package's own manifest."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recyclenet.data.archive import open_archive
from recyclenet.data.manifest import MANIFEST_NAME, Manifest, Sample, trashnet_manifest
from recyclenet.data.meter import show_bar
from recyclenet.errors import (
    EXIT_FAILURE,
    EXIT_OK,
    EXIT_PARTIAL,
    DataError,
    Interrupted,
    UsageError,
)

if TYPE_CHECKING:
    from rich.progress import Progress

MAX_PHOTO_BYTES = 5_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadReport:
    """How a copy of a dataset compares with its manifest. Names are relative to `place`.

    Attributes:
        place: the folder, or the archive, that was checked.
        num_expected: photos in the manifest.
        num_verified: photos that are there with the right content.
        num_added: those of them that this run put there.
        num_received_bytes: bytes that came over the network, failed attempts included.
        missing: photos that are not there.
        different: names of the manifest under which something else lies.
        extra: other visible files beside the photos.
        problems: one line for each source that could not give everything asked of it, and for
            what else the user should know.
        manifest: the table of photos, labels and splits in `place`, if there is one.
    """

    place: Path
    num_expected: int
    num_verified: int
    num_added: int = 0
    num_received_bytes: int = 0
    missing: tuple[str, ...] = ()
    different: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    manifest: Path | None = None

    @property
    def complete(self) -> bool:
        """Whether every photo is there with the right content."""
        return self.num_verified == self.num_expected

    @property
    def exit_code(self) -> int:
        """0 if complete, 3 if some photos are missing or wrong, 1 if none is there."""
        if self.complete:
            return EXIT_OK
        return EXIT_PARTIAL if self.num_verified else EXIT_FAILURE


def verify_trashnet(
    place: Path, *, manifest: Manifest | None = None, progress: Progress | None = None
) -> DownloadReport:
    """Compare a folder or a zip archive with the manifest; nothing is written.

    Raises:
        UsageError: `place` does not exist.
        DataError: it is neither a folder nor a readable zip archive.
        Interrupted: the user stopped it.
    """
    check_place(place)
    names = by_name(manifest or trashnet_manifest())
    try:
        if place.is_dir():
            folder = photo_folder(place, names)
            right, different = scan(folder, names, progress)
            extra, table = extra_files(folder, names), folder / MANIFEST_NAME
        else:
            right, different, extra = _scan_archive(place, names, progress)
            folder, table = place, None
    except KeyboardInterrupt:
        raise Interrupted("stopped; nothing was changed") from None
    missing = tuple(name for name in names if name not in right and name not in different)
    return DownloadReport(
        place=folder,
        num_expected=len(names),
        num_verified=len(right),
        missing=missing,
        different=tuple(different),
        extra=extra,
        manifest=table if table is not None and table.is_file() else None,
    )


def scan(
    folder: Path, names: Mapping[str, Sample], progress: Progress | None
) -> tuple[set[str], list[str]]:
    """Names whose photo is right, and names under which something else lies."""
    right, different = set(), []
    for name, content in photos_in(folder, names, progress):
        if content is not None and hashlib.sha256(content).hexdigest() == names[name].sha256:
            right.add(name)
        else:
            different.append(name)
    return right, different


def _scan_archive(
    path: Path, names: Mapping[str, Sample], progress: Progress | None
) -> tuple[set[str], list[str], tuple[str, ...]]:
    """As `_scan`, and the other files of the archive."""
    right, different = set(), []
    with open_archive(path) as archive, show_bar(progress, "verifying") as meter:
        found = archive.find(names)
        total = sum(members[0].file_size for members in found.values())
        for name, members in found.items():
            contents = (archive.read(member, MAX_PHOTO_BYTES) for member in members)
            digests = (hashlib.sha256(content).hexdigest() for content in contents if content)
            if names[name].sha256 in digests:
                right.add(name)
            else:
                different.append(name)
            meter.at(archive.num_unpacked_bytes, total)
        return right, different, archive.others(names)


def photos_in(
    folder: Path, names: Mapping[str, Sample], progress: Progress | None
) -> Iterator[tuple[str, bytes | None]]:
    """Each name that exists in `folder`, with its bytes; None if it cannot be such a photo."""
    paths = {name: folder / sample.path for name, sample in names.items()}
    sizes = {name: _size(path) for name, path in paths.items() if os.path.lexists(path)}
    total, num_read = sum(size or 0 for size in sizes.values()), 0
    with show_bar(progress, "verifying") as meter:
        for name, size in sizes.items():
            content = None
            if size is not None:
                try:
                    content = paths[name].read_bytes()
                except OSError as error:
                    raise DataError(f"cannot read {paths[name]}: {error.strerror}") from error
                num_read += size
            meter.at(num_read, total)
            yield name, content


def _size(path: Path) -> int | None:
    """Bytes of a regular file no larger than a photo may be; None for anything else."""
    try:
        status = path.stat()
    except OSError:
        return None
    plausible = stat.S_ISREG(status.st_mode) and status.st_size <= MAX_PHOTO_BYTES
    return status.st_size if plausible else None


def photo_folder(place: Path, names: Iterable[str]) -> Path:
    """`place` itself, or the folder in it that the published archive unpacks to."""
    labels = {name.partition("/")[0] for name in names}
    for folder in (place, place / "dataset-resized"):
        if any((folder / label).is_dir() for label in labels):
            return folder
    return place


def extra_files(folder: Path, names: Mapping[str, Sample]) -> tuple[str, ...]:
    """Visible files in the folders of `folder` that the manifest does not list, sorted."""
    paths = (path for path in folder.glob("[!.]*/[!.]*") if path.is_file())
    found = (path.relative_to(folder).as_posix() for path in paths)
    return tuple(sorted(name for name in found if name not in names))


def check_place(place: Path) -> None:
    """Refuse a place that does not exist."""
    if not place.exists():
        raise UsageError(f"{place} does not exist; name a folder of photos or a zip archive")


def by_name(manifest: Manifest) -> dict[str, Sample]:
    """The rows by relative path, the way archives and addresses write it."""
    return {sample.path.as_posix(): sample for sample in manifest}
