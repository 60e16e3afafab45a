"""Where the photos of a data set come from: a folder, a zip archive, or the address of either.

A source yields names of wanted photos, and what it has under each: perhaps None, for what cannot be
a photo. What is wanted may become less meanwhile; nobody looks for the rest then.
"""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

from recyclenet.core.progress import Progress, titled
from recyclenet.data.manifest import Sample
from recyclenet.data.sources.fetch import Fetcher, discard
from recyclenet.data.sources.web import FetchError, shown
from recyclenet.errors import DataError, UsageError

MAX_PHOTO_BYTES = 5_000_000
MAX_ARCHIVE_BYTES = 500_000_000
MAX_UNPACKED_BYTES = 500_000_000
MAX_COPIES = 4  # of one photo in an archive
# A base address that has none of this many photos in a row is not worth thousands of requests.
MAX_MISSES_IN_A_ROW = 20
# bz2 and lzma members can unpack to gigabytes before a reader may object.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 0x1
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError)

Photos = Iterator[tuple[str, bytes | None]]
Wanted = Mapping[str, Sample]  # by relative path, the way archives and addresses write it


class ArchiveError(DataError):
    """A file is no zip archive, or one that is not safe to unpack."""


def photos_at(place: Path, wanted: Wanted, progress: Progress) -> tuple[Path, Photos]:
    """Return the photos of an archive, or of a folder and where in it the class folders lie.

    Raises:
        UsageError: there is nothing.
    """
    if not place.exists():
        raise UsageError(f"{place} does not exist; name a folder of photos or a zip archive")
    if not place.is_dir():
        return place, in_archive(place, str(place), wanted, progress)
    labels = {sample.label for sample in wanted.values()}
    for folder in (place, place / "dataset-resized"):  # the published archive unpacks to that
        if any((folder / label).is_dir() for label in labels):
            return folder, in_folder(folder, wanted, progress)
    return place, iter(())


def in_folder(folder: Path, wanted: Wanted, progress: Progress) -> Photos:
    """Yield what lies in a folder."""
    paths = {name: folder / sample.path for name, sample in wanted.items()}
    sizes = {name: _size(path) for name, path in paths.items() if os.path.lexists(path)}
    total, num_read = sum(size or 0 for size in sizes.values()), 0
    for name, size in sizes.items():
        try:
            content = None if size is None else paths[name].read_bytes()
        except OSError as error:
            raise DataError(f"cannot read {paths[name]}: {error.strerror}") from error
        num_read += size or 0
        progress(num_read, total, "verifying")
        yield name, content


def _size(path: Path) -> int | None:
    """Bytes of a regular file no larger than a photo may be; None for anything else."""
    try:
        status = path.stat()
    except OSError:
        return None
    plausible = stat.S_ISREG(status.st_mode) and status.st_size <= MAX_PHOTO_BYTES
    return status.st_size if plausible else None


def in_archive(path: Path, title: str, wanted: Wanted, progress: Progress) -> Photos:
    """Yield what a zip archive holds; messages call it `title`.

    Members are found by the names that are wanted and handed out as bytes: no path in the archive
    ever becomes one on the disk. A name may have several members, since copies of a data set nest
    its folder.

    Raises:
        ArchiveError: it is no zip archive, or unpacks to more than any copy of the data set would.
        DataError: it cannot be read.
    """
    with _open_archive(path, title) as archive:
        members: dict[str, list[zipfile.ZipInfo]] = {}
        for member, name in _visible(archive):
            if name in wanted and len(members.setdefault(name, [])) < MAX_COPIES:
                members[name].append(member)
        total, num_unpacked = sum(same[0].file_size for same in members.values()), 0
        for name, member in ((name, member) for name, same in members.items() for member in same):
            if name not in wanted:
                continue  # a copy of it was right
            num_unpacked += member.file_size if member.file_size <= MAX_PHOTO_BYTES else 0
            if num_unpacked > MAX_UNPACKED_BYTES:
                raise ArchiveError(f"{title}: unpacks to over {MAX_UNPACKED_BYTES / 1e6:g} MB")
            progress(num_unpacked, total, "verifying")
            yield name, _unpacked(archive, member)


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes | None:
    """What `member` holds; None if it is damaged, encrypted, large or packed in an unusual way."""
    usual = member.compress_type in METHODS and not member.flag_bits & ENCRYPTED
    if not usual or member.file_size > MAX_PHOTO_BYTES:
        return None
    try:
        with archive.open(member) as file:
            # zipfile reads no further than the size the member states, and checks its CRC.
            return file.read(MAX_PHOTO_BYTES)
    except DAMAGE:
        return None


def _visible(archive: zipfile.ZipFile) -> Iterator[tuple[zipfile.ZipInfo, str]]:
    """All files but hidden ones and macOS's shadow copies, with their last two names."""
    for member in archive.infolist():
        parts = member.filename.replace("\\", "/").split("/")
        hidden = parts[0] == "__MACOSX" or parts[-1].startswith(".")
        if len(parts) > 1 and parts[-1] and not hidden:
            yield member, "/".join(parts[-2:])


@contextmanager
def _open_archive(path: Path, title: str) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(path)
    except DAMAGE as error:
        raise ArchiveError(f"{title}: not a zip archive, or a damaged one") from error
    except OSError as error:
        raise DataError(f"cannot read {title}: {error.strerror or error}") from error
    with archive:
        yield archive


def other_files(place: Path, names: Container[str]) -> tuple[str, ...]:
    """Visible files in the folders of a folder or an archive whose names are others, sorted."""
    if place.is_dir():
        paths = (path for path in place.glob("[!.]*/[!.]*") if path.is_file())
        found = {name: name for name in (path.relative_to(place).as_posix() for path in paths)}
    else:
        with _open_archive(place, str(place)) as archive:
            found = {member.filename: name for member, name in _visible(archive)}
    return tuple(sorted(path for path, name in found.items() if name not in names))


def at_archive_url(
    url: str, part: Path, wanted: Wanted, fetcher: Fetcher, progress: Progress
) -> Photos:
    """Fetch an archive into the file `part`, and yield what it holds."""
    fetcher.fetch_into(part, url, MAX_ARCHIVE_BYTES, titled(progress, urlsplit(url).hostname or ""))
    try:
        yield from in_archive(part, shown(url), wanted, progress)
    except ArchiveError:
        discard(part)
        raise
    discard(part)  # it has given all it can; a damaged one must not be taken up again


def at_base_url(url: str, wanted: Wanted, fetcher: Fetcher, progress: Progress) -> Photos:
    """Fetch photo by photo from below an address."""
    names, misses = list(wanted), 0
    error = FetchError(f"{shown(url)}: does not contain the dataset's photos")
    for number, name in enumerate(names, 1):
        label = f"{urlsplit(url).hostname} {number}/{len(names)}"
        try:
            yield name, fetcher.fetch(url + quote(name), MAX_PHOTO_BYTES, titled(progress, label))
        except FetchError as failure:
            error = failure
            if failure.no_answer:
                raise
        misses = misses + 1 if name in wanted else 0
        if misses >= MAX_MISSES_IN_A_ROW:
            raise error
