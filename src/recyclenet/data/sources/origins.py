"""Where the photos of a data set come from: a folder, a zip archive, or the address of either.

Each source yields names of wanted photos and what it has under them: perhaps several things under
one name, or None for what cannot be a photo. Once a right photo has come, its
name is no longer wanted.
"""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, urlsplit

from recyclenet.core.progress import Progress, titled
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
# A member with a password raises RuntimeError.
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError)

Photos = Iterator[tuple[str, bytes | None]]
Names = Collection[str]  # CLASS/PHOTO of what is wanted


class ArchiveError(DataError):
    """A file is no zip archive, or one that is not safe to unpack."""


def photos_at(place: Path, names: Names, progress: Progress) -> tuple[Path, Photos]:
    """Return the photos of an archive, or of a folder and where in it the class folders lie.

    Raises:
        UsageError: there is nothing.
    """
    if not place.exists():
        raise UsageError(f"{place} does not exist; name a folder of photos or a zip archive")
    if not place.is_dir():
        return place, in_archive(place, str(place), names, progress)
    inner = place / "dataset-resized"  # the published archive unpacks to that
    labels = {name.partition("/")[0] for name in names}
    if not any((place / label).is_dir() for label in labels) and inner.is_dir():
        place = inner
    return place, in_folder(place, names, progress)


def in_folder(folder: Path, names: Names, progress: Progress) -> Photos:
    """Yield what lies in a folder."""
    paths = {name: folder / name for name in names if os.path.lexists(folder / name)}
    total, num_read = sum(_size(path) for path in paths.values()), 0
    for name, path in paths.items():
        try:
            content = path.read_bytes() if _size(path) else None
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}") from error
        num_read += len(content or b"")
        progress(num_read, total, "verifying")
        yield name, content


def _size(path: Path) -> int:
    """Bytes of a regular file no larger than a photo may be; 0 for anything else."""
    with suppress(OSError):
        status = path.stat()
        if stat.S_ISREG(status.st_mode) and status.st_size <= MAX_PHOTO_BYTES:
            return status.st_size
    return 0


def in_archive(path: Path, title: str, names: Names, progress: Progress) -> Photos:
    """Yield what a zip archive holds; messages call it `title`.

    Members are found by the names that are wanted and handed out as bytes: no path in the archive
    ever becomes one on the disk. A name may have several members, since copies of a data set nest
    its folder.

    Raises:
        ArchiveError: it is no zip archive, or unpacks to more than any copy of the data set would.
        DataError: it cannot be read.
    """
    num_unpacked, num_copies = 0, Counter[str]()
    with _open_archive(path, title) as archive:
        found = [(member, name) for member, name in _visible(archive) if name in names]
        total = sum(member.file_size for member, _ in found)
        for member, name in found:
            num_copies[name] += 1
            if name not in names or num_copies[name] > MAX_COPIES:
                continue  # one copy of it was right, or too many were wrong
            content = _unpacked(archive, member)
            num_unpacked += len(content or b"")
            if num_unpacked > MAX_UNPACKED_BYTES:
                raise ArchiveError(f"{title}: unpacks to over {MAX_UNPACKED_BYTES / 1e6:g} MB")
            progress(num_unpacked, total, "verifying")
            yield name, content


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes | None:
    """What `member` holds; None if it is damaged, encrypted, large or packed in an unusual way."""
    if member.compress_type not in METHODS or member.file_size > MAX_PHOTO_BYTES:
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
        is_hidden = parts[0] == "__MACOSX" or parts[-1].startswith(".")
        if len(parts) > 1 and parts[-1] and not is_hidden:
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


def other_files(place: Path, names: Names) -> tuple[str, ...]:
    """Visible files in the folders of a folder or an archive whose names are others, sorted."""
    if place.is_dir():
        paths = (path for path in place.glob("[!.]*/[!.]*") if path.is_file())
        found = {name: name for name in (path.relative_to(place).as_posix() for path in paths)}
    else:
        with _open_archive(place, str(place)) as archive:
            found = {member.filename: name for member, name in _visible(archive)}
    return tuple(sorted(path for path, name in found.items() if name not in names))


def at_archive_url(
    url: str, part: Path, names: Names, fetcher: Fetcher, progress: Progress
) -> Photos:
    """Fetch an archive into the file `part`, and yield what it holds."""
    fetcher.fetch_into(part, url, MAX_ARCHIVE_BYTES, titled(progress, urlsplit(url).hostname or ""))
    try:
        yield from in_archive(part, shown(url), names, progress)
    except ArchiveError:
        discard(part)
        raise
    discard(part)  # it has no more to give; a damaged one must not be continued


def at_base_url(url: str, missing: Names, fetcher: Fetcher, progress: Progress) -> Photos:
    """Fetch photo by photo from below an address; a photo that is right is no longer missing."""
    names, misses = list(missing), 0
    for number, name in enumerate(names, 1):
        error = FetchError(url, "does not contain the dataset's photos")
        report = titled(progress, f"{urlsplit(url).hostname} {number}/{len(names)}")
        try:
            yield name, fetcher.fetch(url + quote(name), MAX_PHOTO_BYTES, report)
        except FetchError as failure:
            error = failure
        misses = misses + 1 if name in missing else 0
        if misses >= MAX_MISSES_IN_A_ROW or error.strikes:
            raise error
