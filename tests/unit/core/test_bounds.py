"""One picture takes bounded time, and many at once bounded memory, whatever the files are."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import sys
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recyclenet.core.bounds import MAX_SCANS, PixelBudget, num_scans
from recyclenet.core.images import decode_image
from recyclenet.errors import ImageError


def saved(kind: str, image: Image.Image | None = None, **options: object) -> bytes:
    file = io.BytesIO()
    (image or Image.new("RGB", (100, 80), "green")).save(file, kind, **options)
    return file.getvalue()


def with_scans(content: bytes, number: int) -> bytes:
    """Repeat the last scan of a progressive JPEG until it has `number`."""
    start = content.rindex(b"\xff\xda")
    missing = number - len(re.findall(b"\xff\xda", content))
    return content[:-2] + content[start:-2] * missing + b"\xff\xd9"


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def refusal(content: bytes, **options: int) -> str:
    """Return the reason, which has to come soon."""
    start = time.process_time()
    with pytest.raises(ImageError) as caught:
        decode_image(content, **options)
    assert time.process_time() - start < 3
    return str(caught.value)


PROGRESSIVE = saved("JPEG", progressive=True)


def test_scans_are_counted_as_a_decoder_meets_them() -> None:
    assert num_scans(saved("JPEG")) == 1
    assert num_scans(PROGRESSIVE) == 10
    assert num_scans(with_scans(PROGRESSIVE, 77)) == 77
    assert num_scans(PROGRESSIVE + PROGRESSIVE) == 10  # a second picture behind the first
    thumbnail = segment(0xE1, b"Exif\0\0" + b"\xff\xda" * 9)
    assert num_scans(PROGRESSIVE[:2] + thumbnail + PROGRESSIVE[2:]) == 10
    assert num_scans(b"") == num_scans(b"\xff\xd8\xff") == num_scans(b"\xff\xd8\xff\xe1") == 0


def test_a_jpeg_of_very_many_scans_is_refused() -> None:
    content = with_scans(PROGRESSIVE, 300_000)
    assert "a JPEG with 300000 scans; at most 500 are allowed" in refusal(content)
    assert "a JPEG with 300000 scans" in refusal(content, min_side=10)
    in_cmyk = saved("JPEG", Image.new("CMYK", (9, 9)), progressive=True)
    assert "scans" in refusal(with_scans(in_cmyk, MAX_SCANS + 1))


def test_a_large_jpeg_may_have_fewer_scans_and_the_limit_moves() -> None:
    content = with_scans(PROGRESSIVE, 40)
    assert decode_image(content, max_pixels=20_000).shape == (80, 100, 3)
    assert "a JPEG with 40 scans; at most 32" in refusal(content, max_pixels=16_000)


def test_what_looks_like_scans_in_a_film_behind_a_picture_is_none() -> None:
    film = b"\xff\xda" * 1000
    assert decode_image(PROGRESSIVE + film).shape == (80, 100, 3)
    assert decode_image(saved("JPEG") + film).shape == (80, 100, 3)


PNG = saved("PNG")
GIF = saved("GIF", Image.new("P", (10, 10)))
AFTER_PALETTE = 13 + 3 * 2 ** ((GIF[10] & 7) + 1) * (GIF[10] >> 7)
JPEG = saved("JPEG")
TIFF_TAGS = b"".join(struct.pack("<HHII", 40_000 + n, 3, 1, 1) for n in range(20_000))


@pytest.mark.parametrize(
    "content",
    [
        JPEG[:2] + segment(0xE1, b"Exif\0\0x") * 500_000 + JPEG[2:],
        JPEG[:2] + segment(0xFE, b"") * 500_000 + JPEG[2:],
        JPEG[:2] + b"\xff" * 6_000_000 + JPEG[2:],
        PNG[:33] + chunk(b"teSt") * 500_000 + PNG[33:],
        PNG[:-12] + chunk(b"teSt") * 500_000 + PNG[-12:],
        GIF[:AFTER_PALETTE] + b"!\xfe\x01x\0" * 1_000_000 + GIF[AFTER_PALETTE:],
        GIF[:AFTER_PALETTE] + b"!\xfe" + b"\x01x" * 3_000_000 + b"\0" + GIF[AFTER_PALETTE:],
        b"II*\0\x08\0\0\0" + struct.pack("<H", 20_000) + TIFF_TAGS + bytes(4),
    ],
    ids=["EXIF", "comments", "filling", "PNG", "PNG's end", "GIF", "GIF's comment", "TIFF"],
)
def test_a_file_of_very_many_parts_is_refused(content: bytes) -> None:
    assert "has too many segments to read safely" in refusal(content)


@pytest.mark.parametrize("kind", [b"P1", b"P2", b"P3"])
def test_ppm_as_text_is_refused(kind: bytes) -> None:
    assert "a plain-text PPM image" in refusal(kind + b"\n4 4\n255\n" + b"#x\n" * 2_000_000)


def test_pictures_with_much_beside_their_pixels_are_read() -> None:
    frames = [Image.new("RGB", (20, 20), (n % 256, 0, 0)) for n in range(300)]
    many = {"save_all": True, "append_images": frames[1:]}
    for kind in ("GIF", "PNG", "WEBP", "TIFF"):
        assert decode_image(saved(kind, frames[0], **many)).shape == (20, 20, 3)
    profile = np.random.default_rng(0).bytes(3_000_000)
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF"):
        options = {"icc_profile": profile}
        if kind == "PNG":  # read at a megabyte at most
            options = {"icc_profile": profile[:500_000]}
        assert decode_image(saved(kind, **options)).shape == (80, 100, 3)
    text = PNG[:33] + chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(900_000))) * 9 + PNG[33:]
    assert decode_image(text).shape == (80, 100, 3)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (600, 900, 3), np.uint8))
    rows = b"".join(b"\0" + noise.crop((0, y, 900, y + 1)).tobytes() for y in range(600))
    packed = zlib.compress(rows, 0)
    parts = b"".join(chunk(b"IDAT", packed[at : at + 1024]) for at in range(0, len(packed), 1024))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 900, 600, 8, 2, 0, 0, 0))
    assert np.array_equal(decode_image(PNG[:8] + head + parts + chunk(b"IEND")), np.asarray(noise))


def test_room_is_shared_given_back_and_never_overdrawn() -> None:
    budget, lock = PixelBudget(10), threading.Lock()
    now = most = 0

    def work(pixels: int) -> None:
        nonlocal now, most
        try:
            with budget.reserve(pixels):
                with lock:
                    now += min(pixels, 10)
                    most = max(most, now)
                time.sleep(0.001)
                with lock:
                    now -= min(pixels, 10)
                raise ValueError
        except ValueError:
            pass

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, [1, 3, 4, 5, 10, 99] * 20))
    assert now == 0
    assert 5 < most <= 10


def test_many_damaged_large_jpegs_at_once_do_not_wait_for_each_other() -> None:
    content = bytearray(saved("JPEG", Image.new("RGB", (5000, 5000))))
    scan = content.index(b"\xff\xda")
    content[scan + 500 : scan + 600] = b"\xff\xd9" * 50
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: refused_or_read(bytes(content)), range(8), timeout=120))
    assert len(done) == 8


def refused_or_read(content: bytes) -> bool:
    try:
        decode_image(content, min_side=100)
    except ImageError:
        return False
    return True


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_many_large_pictures_at_once_take_the_memory_of_one(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (7000, 7000), (9, 99, 200, 90))
    (tmp_path / "large.png").write_bytes(saved("PNG", picture, compress_level=1))
    program = """
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from recyclenet.core.images import decoded
from PIL import Image

def small(_):
    with decoded("large.png") as picture:
        return Image.fromarray(picture).resize((9, 9)).size

with ThreadPoolExecutor(4) as pool:
    assert list(pool.map(small, range(4))) == [(9, 9)] * 4
status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
print(int(status["VmHWM"].split()[0]) // 1024)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    # 343 MB while one is decoded; others may be about to let their 147 MB go.
    assert int(done.stdout) < 900
