"""What keeps one picture, and many at once, from taking more time and memory than they deserve."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from recyclenet.errors import ImageError

# Pictures that are being decoded at once have at most so many pixels together; a larger one is
# decoded alone.
ROOM_PIXELS = 50_000_000
# A progressive JPEG is decoded once for each of its scans, of which ten are usual. libjpeg-turbo's
# authors advise 500 at most; on large pictures that is still minutes.
MAX_SCANS = 500
SCANS_AT_MAX_PIXELS = 16
# Pillow reads a file's header part by part, in Python. A JPEG's header has some ten parts, one with
# a profile of many megabytes a few hundred; parts of EXIF are joined anew for each.
_JPEG_HEADER_READS = 1000
_READS, _BYTES_A_READ = 10_000, 128
# Run-length BMPs are read byte by byte.
_BMP_READS = 4_000_000
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


class Room:
    """A number of pixels that threads share.

    Args:
        size: pixels.
    """

    def __init__(self, size: int) -> None:
        self._size = self._free = size
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        """Wait until `pixels` are free and keep them while the block runs.

        More than there are count as all. A thread that has some must not ask for more.
        """
        pixels = min(pixels, self._size)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= pixels)
            self._free -= pixels
        try:
            yield
        finally:
            with self._changed:
                self._free += pixels
                self._changed.notify_all()


class BoundedFile:
    """A picture file that refuses to be read in a great many small parts.

    Args:
        file: open for reading, at its start.
        name: for the error.

    Raises:
        ImageError: there were too many reads, from `read`.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file, self._name = file, name
        self.size = file.seek(0, 2)
        file.seek(0)
        self.is_jpeg = file.read(2) == b"\xff\xd8"
        file.seek(0)
        self._left = _JPEG_HEADER_READS if self.is_jpeg else self._usual_reads

    @property
    def _usual_reads(self) -> int:
        return _READS + self.size // _BYTES_A_READ

    def read(self, size: int = -1) -> bytes:
        """Read as a file does."""
        self._left -= 1
        if self._left < 0:
            raise ImageError(
                f"{self._name} consists of more parts than a picture needs; save it anew with "
                f"another program"
            )
        return self._file.read(size)

    def expect_pixels(self, kind: str) -> None:
        """Allow the reads that the pixels of a format need, the header being read."""
        self._left = _BMP_READS if kind == "BMP" else self._usual_reads

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def check_scans(content: bytes, name: str, pixels: int, max_pixels: int) -> None:
    """Refuse a JPEG whose scans would take too long.

    Args:
        content: the file.
        name: for the error.
        pixels: of the picture.
        max_pixels: what is allowed of a picture with the usual number of scans.

    Raises:
        ImageError: it has too many scans for its size.
    """
    most = min(MAX_SCANS, SCANS_AT_MAX_PIXELS * max_pixels // pixels)
    # What looks like the start of a scan may lie in a thumbnail or a film behind the picture, so
    # only many of them are worth the slower, exact look.
    if content.count(b"\xff\xda") > most and (scans := num_scans(content)) > most:
        raise ImageError(
            f"{name} is a JPEG of {scans} scans, at most {most} of its size are read; save it "
            f"anew, not progressive"
        )


def num_scans(content: bytes) -> int:
    """Count the scans of a JPEG as a decoder meets them."""
    place = number = 0
    while found := _MARKER.search(content, place):
        marker, place = content[found.end() - 1], found.end()
        if marker == 0xD9:
            break
        number += marker == 0xDA
        if marker not in (0x01, 0xD8):
            place += int.from_bytes(content[place : place + 2], "big")
    return number
