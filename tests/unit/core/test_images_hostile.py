"""Files that are no pictures, or are made to do harm, end in one ImageError and nothing else."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from recyclenet.core.images import LARGEST_MAX_PIXELS, MAX_BYTES, decode_image
from recyclenet.core.text import show_path
from recyclenet.errors import ImageError, UsageError

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64)


def encoded(kind: str, **options) -> bytes:
    pixels = np.random.default_rng(3).integers(0, 256, (24, 32, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


VALID = {
    "JPEG": encoded(
        "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"
    ),
    "progressive": encoded("JPEG", progressive=True),
    "PNG": encoded("PNG"),
    "WEBP": encoded("WEBP"),
    "GIF": encoded("GIF"),
    "TIFF": encoded("TIFF"),
    "packed TIFF": encoded("TIFF", compression="tiff_lzw"),
    "BMP": encoded("BMP"),
    "PPM": encoded("PPM"),
    "AVIF": encoded("AVIF"),
}


def png_bomb(width: int, height: int) -> bytes:
    """Return a valid 1-bit PNG of zeros, some kilobytes small."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes((width + 7) // 8 + 1)) for _ in range(height))
    body = chunk(b"IHDR", header) + chunk(b"IDAT", rows + packer.flush()) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def refusal(source, **options) -> str:
    with pytest.raises(ImageError) as caught:
        decode_image(source, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert message.isprintable()
    return message


# Valid pictures with bytes flipped, cut out, put in, or cut off.
EDIT = st.tuples(
    st.sampled_from(["flip", "drop", "put", "end"]),
    st.floats(0, 1, exclude_max=True),
    st.binary(min_size=1, max_size=6),
)


@settings(max_examples=500)
@given(
    kind=st.sampled_from(sorted(VALID)),
    edits=st.lists(EDIT, min_size=1, max_size=4),
    min_side=st.sampled_from([0, 4]),
)
@example(kind="JPEG", edits=[("end", 0.5, b"x")], min_side=0)
@pytest.mark.filterwarnings("ignore")
def test_any_damage_gives_a_picture_or_an_image_error(kind, edits, min_side):
    content = bytearray(VALID[kind])
    for what, share, data in edits:
        place = int(share * len(content))
        if what == "flip" and content:
            content[place] ^= data[0] or 1
        elif what == "drop":
            del content[place : place + len(data)]
        elif what == "put":
            content[place:place] = data
        else:
            del content[max(place, 1) :]
    try:
        decoded = decode_image(bytes(content), min_side=min_side, max_pixels=1_000_000)
    except ImageError:
        return
    assert decoded.dtype == np.uint8
    assert decoded.ndim == 3
    assert decoded.shape[2] == 3
    assert decoded.size > 0


@given(st.binary(max_size=200))
def test_any_bytes_give_an_image_error(content):
    refusal(content)


@pytest.mark.parametrize("kind", sorted(VALID))
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_cut_file_is_refused(kind, share):
    if kind == "AVIF" and share == 0.9:
        share = 0.7
    content = VALID[kind]
    refusal(content[: int(share * len(content))])


def test_files_that_are_no_pictures_say_what_they_are(messy_folder, tmp_path):
    for path in sorted((messy_folder / "bad").iterdir()):
        assert path.name in refusal(path)
    assert "is empty" in refusal(messy_folder / "bad" / "empty.jpg")
    assert "not a supported image" in refusal(messy_folder / "bad" / "text.jpg")
    assert "is a folder" in refusal(tmp_path)
    assert "No such file" in refusal(tmp_path / "none.jpg")
    assert "is empty" in refusal(b"")
    assert "the path is empty" in refusal("")
    refusal("zero\0byte.jpg")
    refusal("a" * 5000)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_endless_and_blocking_files_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    assert "not a regular file" in refusal(tmp_path / "pipe.jpg")
    assert "not a regular file" in refusal("/dev/zero")


def test_huge_file_is_not_read(tmp_path):
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    assert f"{MAX_BYTES:,}" in refusal(tmp_path / "huge.jpg")


def test_file_without_permission(tmp_path, monkeypatch):
    path = tmp_path / "private.jpg"
    path.write_bytes(VALID["JPEG"])

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # a test run by root may open anything
    assert "Permission denied" in refusal(path)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 3), np.int64),
        np.zeros((4, 4, 1), np.uint8),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ],
    ids=lambda array: f"{array.dtype} {array.shape}",
)
def test_array_that_is_no_picture(array):
    assert str(array.dtype) in refusal(array)


@pytest.mark.parametrize(
    "image", [Image.new("F", (4, 4)), Image.new("RGB", (0, 4)), Image.new("L", (4, 0))],
    ids=["float", "no width", "no height"],
)  # fmt: skip
def test_pillow_image_that_cannot_be_shown(image):
    refusal(image)


def test_closed_pillow_image():
    image = Image.open(io.BytesIO(VALID["PNG"]))
    image.close()
    refusal(image)


def test_pixel_cap_is_exact_and_applies_to_every_source():
    picture = Image.new("RGB", (10, 10))
    for source in (picture, np.zeros((10, 10, 3), np.uint8), np.zeros((10, 10), np.uint8)):
        assert decode_image(source, max_pixels=100).shape == (10, 10, 3)
        assert "10x10" in refusal(source, max_pixels=99)
    for kind in ("PNG", "JPEG", "TIFF"):
        assert "32x24" in refusal(VALID[kind], max_pixels=32 * 24 - 1)


@pytest.mark.parametrize("cap", [0, -1, LARGEST_MAX_PIXELS + 1])
def test_cap_out_of_range_is_the_callers_mistake(cap):
    with pytest.raises(UsageError, match="max_pixels"):
        decode_image(VALID["PNG"], max_pixels=cap)


def test_jpeg_whose_header_claims_too_much():
    content = bytearray(VALID["JPEG"])
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = struct.pack(">HH", 9_000, 9_000)
    assert "81 megapixels; at most 50 are" in refusal(bytes(content))


def test_a_picture_just_too_large_is_seen_to_be(tmp_path):
    picture = np.zeros((1, 50_000_001, 3), np.uint8)
    assert "50.000001 megapixels; at most 50 are allowed" in refusal(picture)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_bomb_is_refused_from_its_header_without_taking_memory(tmp_path):
    (tmp_path / "100.png").write_bytes(png_bomb(10_000, 10_000))
    (tmp_path / "200.png").write_bytes(png_bomb(20_000, 10_000))
    assert (tmp_path / "200.png").stat().st_size < 300_000
    program = """
import resource, sys
from recyclenet.core.images import decode_image
from recyclenet.errors import ImageError
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + 32 * 2**20,) * 2)
for name in ("100.png", "200.png"):
    try:
        decode_image(name)
    except ImageError as error:
        print(error)
try:
    decode_image("100.png", max_pixels=178_000_000)
except MemoryError:
    print("the limit holds")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    first, second, last = done.stdout.splitlines()
    assert "100 megapixels" in first
    assert "too many pixels" in second
    assert last == "the limit holds"


def test_heic_without_its_library_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "phone.heic").write_bytes(HEIC)
    message = refusal(tmp_path / "phone.heic")
    assert "phone.heic" in message
    assert "pip install 'recyclenet[heic]'" in message


def test_damaged_heic():
    pytest.importorskip("pillow_heif")
    assert "damaged HEIC" in refusal(HEIC)


@given(st.text(st.characters(codec=None, exclude_characters="\0")))
@example("two\nlines\r\t\x1b[31m")
@example("\udcff\udc80")
@example("\ud800")
@example("right\u202eleft")
def test_any_path_is_shown_on_one_printable_line(name):
    shown = show_path(name)
    assert shown.isprintable()
    shown.encode("utf-8")


def test_ordinary_paths_are_shown_as_they_are():
    assert show_path(Path("/照片/a b 🍾.jpg")) == "/照片/a b 🍾.jpg"
    assert show_path("\udcff.jpg") == "\\udcff.jpg"


@given(st.text(st.characters(codec=None), min_size=1))
def test_any_missing_path_is_an_image_error(name):
    refusal(Path("no such folder") / f"x{name.lstrip('/')}")


def test_decoders_print_nothing() -> None:
    damaged = bytearray(encoded("TIFF", compression="tiff_lzw"))
    damaged[20:200] = bytes(180)
    entry = struct.pack("<HHI", 277, 3, 1)  # samples per pixel
    overgrown = encoded("TIFF").replace(entry + b"\x03\0", entry + b"\xff\xff")
    assert overgrown != encoded("TIFF")
    program = """
import sys
from recyclenet.core.images import decode_image
from recyclenet.errors import ImageError
try:
    decode_image(sys.stdin.buffer.read())
except ImageError:
    print("refused")
"""
    for content in (bytes(damaged), overgrown):
        # In a process of its own: pytest catches what is logged.
        command = [sys.executable, "-W", "ignore", "-c", program]
        done = subprocess.run(command, input=content, capture_output=True, check=True)
        assert (done.stdout, done.stderr) == (b"refused\n", b"")
