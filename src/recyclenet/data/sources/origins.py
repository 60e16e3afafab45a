"""Where the photos of a data set come from: a folder, a zip archive, or the address of either.

Each source yields names of wanted photos and what it has under them, perhaps several things under
one name. Once a right photo has come, its name is no longer wanted.
"""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, urlsplit

from recyclenet.core.progress import Progress, titled
from recyclenet.data.sources.fetch import Fetcher, discard
from recyclenet.data.sources.web import FetchError, shown
from recyclenet.errors import DataError, UsageError

MAX_PHOTO_BYTES = 5_000_000
MAX_ARCHIVE_BYTES = 500_000_000
MAX_UNPACKED_BYTES = 500_000_000
# A base address that has none of this many photos in a row is not worth thousands of requests.
MAX_MISSES_IN_A_ROW = 20
# bz2 and lzma members can unpack to gigabytes before a reader may object.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# A member with a password raises RuntimeError, one at an impossible offset OSError.
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, OSError)

Photos = Iterator[tuple[str, bytes]]
Names = Collection[str]  # CLASS/PHOTO of what is wanted


class ArchiveError(DataError):
    """A file cannot be read, is no zip archive, or is not safe to unpack."""


def photos_at(place: Path, names: Names, progress: Progress) -> tuple[Path, Photos]:
    """Return the photos of an archive, or of a folder and where in it the class folders lie.

    Raises:
        UsageError: there is neither.
    """
    if not place.is_dir() and not place.is_file():
        what = "is neither a folder nor a file" if place.exists() else "does not exist"
        raise UsageError(f"{place} {what}; name a folder of photos or a zip archive")
    if place.is_file():
        return place, in_archive(place, str(place), names, progress)
    inner = place / "dataset-resized"  # the published archive unpacks to that
    labels = {name.partition("/")[0] for name in names}
    if not any((place / label).is_dir() for label in labels) and inner.is_dir():
        place = inner
    return place, in_folder(place, names, progress)


def in_folder(folder: Path, names: Names, progress: Progress) -> Photos:
    """Yield what lies in a folder."""
    sizes = {name: size for name in names if (size := _size(folder / name))}
    total, num_read = sum(sizes.values()), 0
    for name, size in sizes.items():
        try:
            content = (folder / name).read_bytes()
        except OSError as error:
            raise DataError(f"cannot read {folder / name}: {error.strerror}") from error
        num_read += size
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
        ArchiveError: it cannot be read, or unpacks to more than any copy of the data set would.
    """
    num_unpacked = 0
    with _open_archive(path, title) as archive:
        found = [
            (member, name)
            for member, name in _visible(archive)
            if name in names and member.compress_type in METHODS
            if member.file_size <= MAX_PHOTO_BYTES
        ]
        total = sum(member.file_size for member, _ in found)
        for member, name in found:
            if name not in names:
                continue  # a copy of it was right
            num_unpacked += member.file_size
            if num_unpacked > MAX_UNPACKED_BYTES:
                raise ArchiveError(f"{title}: unpacks to over {MAX_UNPACKED_BYTES / 1e6:g} MB")
            progress(num_unpacked, total, "verifying")
            try:
                with archive.open(member) as file:
                    # Checks the CRC. Without a limit, zipfile would first unpack all of a member
                    # that is larger than it says.
                    content = file.read(member.file_size)
            except DAMAGE:
                continue
            yield name, content


def _visible(archive: zipfile.ZipFile) -> Iterator[tuple[zipfile.ZipInfo, str]]:
    """All files but hidden ones and macOS's shadow copies, with their last two names."""
    for member in archive.infolist():
        parts = member.filename.replace("\\", "/").split("/")
        is_hidden = parts[0] == "__MACOSX" or parts[-1].startswith(".")
        if len(parts) > 1 and parts[-1] and not is_hidden:
            yield member, "/".join(parts[-2:])


def _open_archive(path: Path, title: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except DAMAGE as error:
        reason = getattr(error, "strerror", None) or "not a zip archive, or a damaged one"
        raise ArchiveError(f"cannot read {title}: {reason}") from error


def files_at(place: Path) -> dict[str, str]:
    """Return the visible files in the folders of a folder or an archive: CLASS/PHOTO by path."""
    if place.is_dir():
        paths = (path for path in place.glob("[!.]*/[!.]*") if path.is_file())
        return {name: name for name in (path.relative_to(place).as_posix() for path in paths)}
    with _open_archive(place, str(place)) as archive:
        return {member.filename: name for member, name in _visible(archive)}


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
