"""Limits on the time and memory that decoding takes, for one photo and for many at once."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from recyclenet.errors import ImageError

# Total pixels of the photos decoded at one time; a larger photo is decoded alone.
TOTAL_PIXELS = 50_000_000
# Decoding a progressive JPEG takes one pass per scan; ten scans are usual. libjpeg-turbo's authors
# advise a limit of 500, which still takes minutes for large photos.
MAX_SCANS = 500
SCANS_AT_MAX_PIXELS = 16
# Pillow reads a file header segment by segment, in Python. A JPEG header usually has about ten
# segments, or a few hundred with a colour profile of many megabytes. Pillow joins all EXIF segments
# again for each new one.
_JPEG_HEADER_READS = 1000
_READS, _BYTES_PER_READ = 10_000, 128
# Pillow reads run-length encoded BMPs byte by byte.
_BMP_READS = 4_000_000
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


class PixelBudget:
    """A number of pixels that threads share.

    Args:
        size: the total, in pixels.
    """

    def __init__(self, size: int) -> None:
        self._size = self._free = size
        self._changed = threading.Condition()

    @contextmanager
    def reserve(self, pixels: int) -> Iterator[None]:
        """Wait until `pixels` are free and reserve them while the block runs.

        A request above the total reserves the total. A thread must not reserve twice: two such
        threads could wait for each other.
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
    """An image file that limits the number of reads.

    Args:
        file: open for reading, at its start.
        name: the name for error messages.
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
        return _READS + self.size // _BYTES_PER_READ

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes, or all if negative.

        Raises:
            ImageError: there were too many reads.
        """
        self._left -= 1
        if self._left < 0:
            raise ImageError(
                f"{self._name} has too many segments to read safely; save it again with another "
                f"program"
            )
        return self._file.read(size)

    def expect_pixels(self, kind: str) -> None:
        """Reset the limit to what the pixel data of a format needs, once the header is read."""
        self._left = _BMP_READS if kind == "BMP" else self._usual_reads

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def check_scans(content: bytes, name: str, pixels: int, max_pixels: int) -> None:
    """Refuse a JPEG whose scans would take too long to decode.

    Args:
        content: the whole file.
        name: the name for error messages.
        pixels: width x height of the JPEG.
        max_pixels: the largest size allowed for a JPEG with the usual number of scans.

    Raises:
        ImageError: the JPEG has too many scans for its size.
    """
    most = min(MAX_SCANS, SCANS_AT_MAX_PIXELS * max_pixels // pixels)
    # The start marker of a scan may also occur in a thumbnail or in a video after the image, so the
    # fast count only decides whether the slower, exact count is needed.
    if content.count(b"\xff\xda") > most and (scans := num_scans(content)) > most:
        raise ImageError(
            f"{name} is a JPEG with {scans} scans; at most {most} are allowed at its size; save it "
            f"again as a baseline JPEG"
        )


def num_scans(content: bytes) -> int:
    """Count the scans of a JPEG in the order that a decoder reads them."""
    position = number = 0
    while found := _MARKER.search(content, position):
        marker, position = content[found.end() - 1], found.end()
        if marker == 0xD9:
            break
        number += marker == 0xDA
        if marker not in (0x01, 0xD8):
            position += int.from_bytes(content[position : position + 2], "big")
    return number
