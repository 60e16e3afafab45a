"""Reading photos out of a zip archive that nobody vouches for.

Members are looked up by the names a manifest gives, and handed out as bytes: no path in the
archive ever becomes a path on the disk.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path

from recyclenet.errors import DataError

MAX_UNPACKED_BYTES = 500_000_000
MAX_COPIES = 4
# bz2 and lzma members can unpack to gigabytes before a reader may object.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 0x1


class ArchiveError(DataError):
    """A file is no zip archive, or one that is not safe to unpack."""


class PhotoArchive:
    """A zip archive of photos in class folders, at any depth.

    Attributes:
        name: what messages call it.
        num_unpacked_bytes: bytes read from it so far.
    """

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self._archive = archive
        self.name = name
        self.num_unpacked_bytes = 0

    def find(self, names: Container[str]) -> dict[str, list[zipfile.ZipInfo]]:
        """Return the members for those `names` ("label/file.jpg") that the archive has.

        A name may have several members, since copies of a data set nest its folder.
        """
        found: dict[str, list[zipfile.ZipInfo]] = {}
        for member, name in self._visible():
            if name in names and len(found.setdefault(name, [])) < MAX_COPIES:
                found[name].append(member)
        return found

    def others(self, names: Container[str]) -> tuple[str, ...]:
        """Return the other visible files that lie in a folder of the archive, sorted."""
        return tuple(sorted(m.filename for m, name in self._visible() if name not in names))

    def read(self, member: zipfile.ZipInfo, max_bytes: int) -> bytes | None:
        """Return what `member` holds; None if it is damaged, encrypted or larger than allowed.

        Raises:
            ArchiveError: the archive unpacks to more than any copy of the data set would.
        """
        if member.file_size > max_bytes or member.compress_type not in METHODS:
            return None
        if member.flag_bits & ENCRYPTED:
            return None
        self.num_unpacked_bytes += member.file_size
        if self.num_unpacked_bytes > MAX_UNPACKED_BYTES:
            raise ArchiveError(f"{self.name}: unpacks to over {MAX_UNPACKED_BYTES / 1e6:g} MB")
        try:
            with self._archive.open(member) as file:
                # zipfile reads no further than the size the member states, and checks its CRC.
                return file.read(max_bytes)
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError):
            return None

    def _visible(self) -> Iterator[tuple[zipfile.ZipInfo, str]]:
        """All files but hidden ones and macOS's shadow copies, with their last two names."""
        for member in self._archive.infolist():
            parts = member.filename.replace("\\", "/").split("/")
            hidden = parts[0] == "__MACOSX" or parts[-1].startswith(".")
            if len(parts) > 1 and parts[-1] and not hidden:
                yield member, "/".join(parts[-2:])


@contextmanager
def open_archive(path: Path, name: str = "") -> Iterator[PhotoArchive]:
    """Open the zip archive `path`; messages call it `name`.

    Raises:
        ArchiveError: it is no zip archive, or a damaged one.
        DataError: it cannot be read.
    """
    name = name or str(path)
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError) as error:
        raise ArchiveError(f"{name}: not a zip archive, or a damaged one ({error})") from error
    except OSError as error:
        raise DataError(f"cannot read {name}: {error.strerror or error}") from error
    with archive:
        yield PhotoArchive(archive, name)
