"""The one decoder: any picture a person might hand over becomes an `(H, W, 3)` uint8 RGB array.

Training, evaluation and every command read pictures through `decode_image`, so a photo looks the
same to the model wherever it comes from: upright (EXIF), first frame, transparency on white.
"""

from __future__ import annotations

import io
import os
import stat
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import ExifTags, Image

from recyclenet.core.text import show_path
from recyclenet.errors import ImageError, UsageError

ImageArray: TypeAlias = npt.NDArray[np.uint8]
ImageSource: TypeAlias = str | os.PathLike[str] | bytes | Image.Image | ImageArray

# Pillow's JPEG opener reads MPO too; under its own name it opens nothing.
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
# Pillow itself refuses more than this, from the header; a larger cap could not take effect.
LARGEST_MAX_PIXELS = 178_000_000
MAX_BYTES = 512 * 1024 * 1024

_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_open_lock = threading.Lock()


def decode_image(
    source: ImageSource, *, min_side: int = 0, max_pixels: int = MAX_PIXELS
) -> ImageArray:
    """Decode one picture to upright RGB.

    Args:
        source: a path, the bytes of a picture file, a Pillow image, or an array of uint8 shaped
            `(H, W)`, `(H, W, 3)` RGB or `(H, W, 4)` RGBA.
        min_side: pixels. Where positive, a larger JPEG may be decoded at a fraction of its size
            (much faster), but with no side below this.
        max_pixels: refuse pictures of more pixels, before decoding them.

    Returns:
        `(H, W, 3)` uint8 RGB, contiguous.

    Raises:
        ImageError: the picture is missing, damaged, too large or of a kind that is not read.
        UsageError: `max_pixels` is out of range.
    """
    if not 1 <= max_pixels <= LARGEST_MAX_PIXELS:
        raise UsageError(f"max_pixels must be 1 to {LARGEST_MAX_PIXELS}, not {max_pixels}")
    if isinstance(source, np.ndarray):
        return _from_array(source, max_pixels)
    if isinstance(source, Image.Image):
        return _guarded(source, "the picture", min_side, max_pixels, None)
    if isinstance(source, bytes | bytearray | memoryview):
        return _from_file(io.BytesIO(source), "the picture", min_side, max_pixels)
    if not os.fspath(source):
        raise ImageError("an empty path names no picture")
    path = Path(source)
    name = show_path(path)
    try:
        kind = path.stat()
        if stat.S_ISDIR(kind.st_mode):
            raise ImageError(f"{name} is a folder, not a picture")
        if not stat.S_ISREG(kind.st_mode):
            raise ImageError(f"{name} is not an ordinary file")
        if kind.st_size > MAX_BYTES:
            raise ImageError(f"{name} has {kind.st_size} bytes; at most {MAX_BYTES} are read")
        with path.open("rb") as file:
            return _from_file(file, name, min_side, max_pixels)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"cannot read {name}: {reason}") from error


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture file says of itself.

    Attributes:
        width: of the upright picture, pixels.
        height: of the upright picture, pixels.
        taken: when, as the camera wrote it: "2024:05:01 12:30:00"; empty where it did not.
        kind: its format, such as "JPEG".
    """

    width: int
    height: int
    taken: str
    kind: str


def read_header(content: bytes) -> Header:
    """Read a picture file's size and date, without its pixels.

    Raises:
        ImageError: it is no picture that is read here.
    """
    file = io.BytesIO(content)
    image = _open_any(file, "the picture")
    width, height = image.size
    if _orientation(image) >= 5:
        width, height = height, width
    try:
        exif = image.getexif()
        original = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
        taken = str(original or exif.get(ExifTags.Base.DateTime, ""))
    except Exception:  # a broken EXIF block says nothing about the picture
        taken = ""
    return Header(
        width, height, "".join(filter(str.isprintable, taken)).strip()[:32], image.format or ""
    )


def _from_array(array: npt.NDArray[np.uint8], max_pixels: int) -> ImageArray:
    shape_ok = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    if array.dtype != np.uint8 or not shape_ok or 0 in array.shape:
        raise ImageError(
            f"an array must be uint8 shaped (H, W), (H, W, 3) or (H, W, 4), "
            f"not {array.dtype} {array.shape}"
        )
    if array.ndim == 3 and array.shape[2] == 3:
        _check_pixels("the array", array.shape[1], array.shape[0], max_pixels)
        return np.ascontiguousarray(array)
    return _guarded(Image.fromarray(array), "the array", 0, max_pixels, None)


def _from_file(
    file: io.BufferedReader | io.BytesIO, name: str, min_side: int, max_pixels: int
) -> ImageArray:
    return _guarded(_open_any(file, name), name, min_side, max_pixels, file)


def _open_any(file: io.BufferedReader | io.BytesIO, name: str) -> Image.Image:
    try:
        return _open(file, FORMATS)
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name} has too many pixels: {error}") from error
    except Exception as error:
        if not _is_heic(file):
            raise ImageError(_unreadable(file, name)) from error
        return _open_heic(file, name)


def _open(file: io.BufferedReader | io.BytesIO, formats: tuple[str, ...]) -> Image.Image:
    # Pillow warns of large pictures; our own cap is stricter and speaks for itself.
    with _open_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Image.open(file, formats=formats)


def _open_heic(file: io.BufferedReader | io.BytesIO, name: str) -> Image.Image:
    try:
        import pillow_heif
    except ImportError:
        raise ImageError(f"{name} is HEIC; to read it: pip install 'recyclenet[heic]'") from None
    pillow_heif.register_heif_opener()
    file.seek(0)
    try:
        return _open(file, ("HEIF",))
    except Exception as error:
        raise ImageError(f"{name} is a damaged HEIC file") from error


def _guarded(
    image: Image.Image,
    name: str,
    min_side: int,
    max_pixels: int,
    file: io.BufferedReader | io.BytesIO | None,
) -> ImageArray:
    """Check the size from the header, then decode; any decoder's failure is an ImageError."""
    _check_pixels(name, image.width, image.height, max_pixels)
    try:
        if file is not None and image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L"):
            fast = _fast_jpeg(image, file, min_side)
            if fast is not None:
                return fast
        return _with_pillow(image, name)
    except ImageError:
        raise
    except MemoryError:
        raise
    # A damaged file can make a decoder raise nearly anything; none of it may reach the user.
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ImageError(f"{name} is damaged: {reason}") from error


def _check_pixels(name: str, width: int, height: int, max_pixels: int) -> None:
    if not width * height:
        raise ImageError(f"{name} has no pixels: it is {width}x{height}")
    if width * height > max_pixels:
        raise ImageError(
            f"{name} is {width}x{height}, {width * height / 1e6:.0f} megapixels; "
            f"at most {max_pixels / 1e6:.0f} are read"
        )


def _fast_jpeg(
    image: Image.Image, file: io.BufferedReader | io.BytesIO, min_side: int
) -> ImageArray | None:
    """Decode a plain JPEG with libjpeg-turbo; None where only Pillow can cope with it."""
    orientation = _orientation(image)
    file.seek(0)
    try:
        # The slow settings: they give the very pixels that Pillow gives.
        array = simplejpeg.decode_jpeg(
            file.read(),
            fastdct=False,
            fastupsample=False,
            min_height=min_side,
            min_width=min_side,
        )
    except ValueError:
        file.seek(0)
        return None
    return _upright(array, orientation)


def _with_pillow(image: Image.Image, name: str) -> ImageArray:
    image.load()
    orientation = _orientation(image)
    if image.mode == "F":
        raise ImageError(f"{name} has floating-point pixels, whose range is unknown; save as 8-bit")
    if image.mode.startswith("I"):
        # 16-bit grey: 65535 is white.
        grey = np.asarray(image).astype(np.int64).clip(0, 65535)
        image = Image.fromarray((grey // 257).astype(np.uint8))
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.new("RGB", rgba.size, (255, 255, 255))
        image.paste(rgba, mask=rgba.getchannel("A"))
    return _upright(np.asarray(image.convert("RGB")), orientation)


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a broken EXIF block says nothing about the pixels
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(array: ImageArray, orientation: int) -> ImageArray:
    if orientation >= 5:
        array = array.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return np.ascontiguousarray(array)


def _is_heic(file: io.BufferedReader | io.BytesIO) -> bool:
    file.seek(0)
    head = file.read(12)
    return head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS


def _unreadable(file: io.BufferedReader | io.BytesIO, name: str) -> str:
    file.seek(0)
    if not file.read(1):
        return f"{name} is empty"
    return f"{name} is not a picture that is read here, or is damaged (read: {', '.join(FORMATS)})"
