"""The decoder: every supported photo becomes an `(H, W, 3)` uint8 RGB image.

Training, evaluation and every command decode with `decode_image`, so the model always sees the same
image: upright (EXIF), first frame, transparency on white.
"""

from __future__ import annotations

import ctypes
import io
import logging
import os
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import ExifTags, Image, _imaging

from recyclenet.core.bounds import TOTAL_PIXELS, BoundedFile, PixelBudget, check_scans
from recyclenet.core.text import show_path
from recyclenet.errors import ImageError, ImageTooLargeError, UsageError

ImageArray: TypeAlias = npt.NDArray[np.uint8]
ImageSource: TypeAlias = str | os.PathLike[str] | bytes | Image.Image | ImageArray

# Pillow opens MPO files as JPEG.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM")
SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".mpo",
        ".png",
        ".apng",
        ".webp",
        ".avif",
        ".gif",
        ".bmp",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
        ".pbm",
        ".heic",
        ".heif",
    ]
)
MAX_PIXELS = 50_000_000
# Pillow itself refuses larger images, so a higher limit would have no effect.
LARGEST_MAX_PIXELS = 178_000_000
MAX_BYTES = 512 * 1024 * 1024

_PLAIN_PPM = (b"P1", b"P2", b"P3")
# This many bytes of a file count as one pixel of the memory budget.
_BYTES_PER_PIXEL = 8
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_open_lock = threading.Lock()
# By default Pillow allocates blocks of 16 MB, which the C library keeps for the thread that freed
# them. It returns blocks of this size to the system.
_imaging.set_block_size(64 * 2**20)
# Pillow and libtiff print about damaged files on stderr, beside the exception that we report.
logging.getLogger("PIL").addHandler(logging.NullHandler())
with suppress(AttributeError, OSError):  # it may be linked in such a way that we cannot reach it
    ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)
_budget = PixelBudget(TOTAL_PIXELS)
# Converting this many pixels at a time avoids a second full-size copy.
_STRIP_PIXELS = 2**20


def decode_image(
    source: ImageSource, *, min_side: int = 0, max_pixels: int = MAX_PIXELS
) -> ImageArray:
    """Decode one photo to upright RGB.

    Args:
        source: a path, the bytes of an image file, a Pillow image, or a uint8 array of shape
            `(H, W)`, `(H, W, 3)` RGB or `(H, W, 4)` RGBA.
        min_side: pixels. If positive, a larger JPEG may be decoded at reduced size, which is much
            faster, but with no side below this.
        max_pixels: the largest number of pixels allowed; checked before decoding.

    Returns:
        `(H, W, 3)` uint8 RGB, contiguous.

    Raises:
        ImageError: the photo is missing, damaged, too large or of an unsupported format.
        UsageError: `max_pixels` is out of range.
    """
    with decoded(source, min_side=min_side, max_pixels=max_pixels) as image:
        return image


@contextmanager
def decoded(
    source: ImageSource, *, min_side: int = 0, max_pixels: int = MAX_PIXELS
) -> Iterator[ImageArray]:
    """Decode one photo as `decode_image` does, and bound the memory that all threads use.

    A thread waits here, or in `decode_image`, until the shared pixel budget allows one more image,
    and holds its share while the block runs. The block must not decode another photo.
    """
    if not 1 <= max_pixels <= LARGEST_MAX_PIXELS:
        raise UsageError(f"max_pixels must be 1 to {LARGEST_MAX_PIXELS}, not {max_pixels}")
    with ExitStack() as held:
        work = _Decoding("the image", min_side, max_pixels, held)
        if isinstance(source, np.ndarray):
            yield work.from_array(source)
        elif isinstance(source, Image.Image):
            yield work.from_image(source)
        elif isinstance(source, bytes | bytearray | memoryview):
            yield work.from_file(io.BytesIO(source))
        else:
            yield work.from_path(source)


@dataclass(frozen=True, slots=True)
class Header:
    """Facts from the header of a photo.

    Attributes:
        width: of the upright image, pixels.
        height: of the upright image, pixels.
        taken: EXIF date, such as "2024:05:01 12:30:00"; empty if there is none.
        kind: file format, such as "JPEG".
    """

    width: int
    height: int
    taken: str
    kind: str


def read_header(content: bytes) -> Header:
    """Read the size and date of a photo, without decoding its pixels.

    Raises:
        ImageError: the content is not a supported image format.
    """
    image = _open_any(BoundedFile(io.BytesIO(content), "the image"), "the image")
    width, height = _upright_size(image)
    try:
        exif = image.getexif()
        original = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
        taken = str(original or exif.get(ExifTags.Base.DateTime, ""))
    except Exception:  # an image with damaged EXIF data is still usable
        taken = ""
    return Header(
        width, height, "".join(filter(str.isprintable, taken)).strip()[:32], image.format or ""
    )


def upright_size(source: ImageSource) -> tuple[int, int]:
    """Return width and height of a photo that `decode_image` reads, as it is without `min_side`.

    Raises:
        ImageError: the photo is gone, or is not a supported image.
    """
    if isinstance(source, np.ndarray):
        return source.shape[1], source.shape[0]
    if isinstance(source, Image.Image):
        return _upright_size(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return _upright_size(_open_any(BoundedFile(io.BytesIO(source), "the image"), "the image"))
    name = show_path(source)
    try:
        with Path(source).open("rb") as file:
            return _upright_size(_open_any(BoundedFile(file, name), name))
    except OSError as error:
        raise ImageError(f"cannot read {name}: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class _Decoding:
    """The decoding of one photo.

    Attributes:
        name: the name for error messages.
        min_side: as in `decode_image`.
        max_pixels: as in `decode_image`.
        held: holds the reservation in the pixel budget.
    """

    name: str
    min_side: int
    max_pixels: int
    held: ExitStack

    def from_array(self, array: npt.NDArray[np.uint8]) -> ImageArray:
        shape_ok = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
        if array.dtype != np.uint8 or not shape_ok or 0 in array.shape:
            raise ImageError(
                f"an image array must be uint8 of shape (H, W), (H, W, 3) or (H, W, 4), "
                f"not {array.dtype} {array.shape}"
            )
        if array.ndim == 3 and array.shape[2] == 3:
            self._check_pixels(array.shape[1], array.shape[0])
            return np.ascontiguousarray(array)
        return self.from_image(Image.fromarray(array))

    def from_path(self, source: str | os.PathLike[str]) -> ImageArray:
        if not os.fspath(source):
            raise ImageError("the path is empty; give the path of a photo")
        path = Path(source)
        name = show_path(path)
        try:
            kind = path.stat()
            if stat.S_ISDIR(kind.st_mode):
                raise ImageError(f"{name} is a folder, not a photo")
            if not stat.S_ISREG(kind.st_mode):
                raise ImageError(f"{name} is not a regular file")
            if kind.st_size > MAX_BYTES:
                raise ImageError(
                    f"{name} has {kind.st_size:,} bytes; at most {MAX_BYTES:,} are allowed"
                )
            with path.open("rb") as file:
                return replace(self, name=name).from_file(file)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ImageError(f"cannot read {name}: {reason}") from error

    def from_file(self, plain: IO[bytes]) -> ImageArray:
        file = BoundedFile(plain, self.name)
        image = _open_any(file, self.name)
        file.expect_pixels(image.format or "")
        return self.from_image(image, file)

    def from_image(self, image: Image.Image, file: BoundedFile | None = None) -> ImageArray:
        """Check the size, then decode.

        Raises:
            ImageError: for any failure of the decoder, except a lack of memory.
        """
        self._check_pixels(image.width, image.height)
        try:
            if file is not None and file.is_jpeg:
                fast = self._fast_jpeg(image, file)
                if fast is not None:
                    return fast
            self._reserve(image.width * image.height, file)
            return _with_pillow(image, self.name)
        except ImageError:
            raise
        except MemoryError:
            raise
        # A damaged file can make a decoder raise almost any exception.
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ImageError(f"{self.name} is damaged: {reason}") from error

    def _check_pixels(self, width: int, height: int) -> None:
        if not width * height:
            raise ImageError(f"{self.name} has no pixels: its size is {width}x{height}")
        if width * height > self.max_pixels:
            raise ImageTooLargeError(
                f"{self.name} is {width}x{height}, {_megapixels(width * height)} megapixels; "
                f"at most {_megapixels(self.max_pixels)} are allowed"
            )

    def _reserve(self, pixels: float, file: BoundedFile | None) -> None:
        size = 0 if file is None else file.size
        self.held.enter_context(_budget.reserve(int(pixels) + size // _BYTES_PER_PIXEL))

    def _fast_jpeg(self, image: Image.Image, file: BoundedFile) -> ImageArray | None:
        """Decode a plain JPEG with libjpeg-turbo; return None if it needs Pillow."""
        pixels = image.width * image.height
        file.seek(0)
        content = file.read()
        file.seek(0)
        check_scans(content, self.name, pixels, self.max_pixels)
        if image.mode not in ("RGB", "L"):
            return None
        # A progressive JPEG needs memory for all of its pixels, even at reduced size.
        shrunk = 1.0 if "progressive" in image.info else 2 * self.min_side / min(image.size)
        share = min(1.0, max(shrunk, 1 / 8)) if self.min_side else 1.0
        self._reserve(pixels * share * share, file)
        try:
            # With these slower settings the pixels equal Pillow's.
            array = simplejpeg.decode_jpeg(
                content,
                fastdct=False,
                fastupsample=False,
                min_height=self.min_side,
                min_width=self.min_side,
            )
        except ValueError:
            self.held.close()  # two threads that reserve twice could wait for each other
            return None
        upright, stored = _blank(array.shape[1], array.shape[0], _orientation(image))
        stored[:] = array
        return upright


def _megapixels(pixels: int) -> str:
    """Return pixels as exact megapixels."""
    return f"{pixels / 1e6:.6f}".rstrip("0").rstrip(".")


def _open_any(file: BoundedFile, name: str) -> Image.Image:
    if file.read(3)[:2] in _PLAIN_PPM:
        raise ImageError(
            f"{name} is a plain-text PPM image, which is not supported; save it as PNG"
        )
    file.seek(0)
    try:
        return _open(file, FORMATS)
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageTooLargeError(
            f"{name} has too many pixels: at most {_megapixels(LARGEST_MAX_PIXELS)} megapixels "
            f"are allowed"
        ) from error
    except Exception as error:
        if not _is_heic(file):
            raise ImageError(_unreadable(file, name)) from error
        return _open_heic(file, name)


def _open(file: BoundedFile, formats: tuple[str, ...]) -> Image.Image:
    # Pillow warns about large images; our own limit is stricter.
    with _open_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Image.open(file, formats=formats)


def _open_heic(file: BoundedFile, name: str) -> Image.Image:
    try:
        import pillow_heif
    except ImportError:
        raise ImageError(
            f"{name} is HEIC; reading it needs: pip install 'recyclenet[heic]'"
        ) from None
    pillow_heif.register_heif_opener()
    file.seek(0)
    try:
        return _open(file, ("HEIF",))
    except Exception as error:
        raise ImageError(f"{name} is a damaged HEIC file") from error


def _with_pillow(image: Image.Image, name: str) -> ImageArray:
    image.load()
    if image.mode == "F":
        raise ImageError(f"{name} has floating-point pixels of unknown range; save it as 8-bit")
    width, height = image.size
    upright, stored = _blank(width, height, _orientation(image))
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        stored[top:bottom] = _rgb(image.crop((0, top, width, bottom)))
    return upright


def _rgb(image: Image.Image) -> ImageArray:
    """Convert a Pillow image to `(H, W, 3)` uint8 RGB."""
    if image.mode.startswith("I"):
        # 16-bit greyscale: 65535 is white.
        grey = np.asarray(image).astype(np.int64).clip(0, 65535)
        image = Image.fromarray((grey // 257).astype(np.uint8))
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.new("RGB", rgba.size, (255, 255, 255))
        image.paste(rgba, mask=rgba.getchannel("A"))
    return np.asarray(image.convert("RGB"))


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # an image with damaged EXIF data is still usable
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    return (height, width) if _orientation(image) >= 5 else (width, height)


def _blank(width: int, height: int, orientation: int) -> tuple[ImageArray, ImageArray]:
    """Return an empty upright image, and a view of it in the orientation of the file.

    Args:
        width: of the image as stored, pixels.
        height: of the image as stored, pixels.
        orientation: EXIF orientation, 1 to 8.
    """
    is_transposed = orientation >= 5
    upright = np.empty((width, height, 3) if is_transposed else (height, width, 3), np.uint8)
    stored = upright
    if orientation in (3, 4, 7, 8):
        stored = stored[::-1]
    if orientation in (2, 3, 6, 7):
        stored = stored[:, ::-1]
    return upright, stored.transpose(1, 0, 2) if is_transposed else stored


def _is_heic(file: BoundedFile) -> bool:
    file.seek(0)
    head = file.read(12)
    return head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS


def _unreadable(file: BoundedFile, name: str) -> str:
    file.seek(0)
    if not file.read(1):
        return f"{name} is empty"
    return f"{name} is damaged or not a supported image (supported: {', '.join(FORMATS)})"
