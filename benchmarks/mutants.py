"""Hostile pictures: seeded mutants of real ones in six formats, and decompression bombs."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
from PIL import Image

# Every way to save a picture that a mutant starts from: a format, and how Pillow saves it.
FORMATS = {
    "JPEG": [{}, {"progressive": True}, {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"}],
    "PNG": [{}, {"save_all": True}, {"compress_level": 0}],
    "WEBP": [{}, {"lossless": True}, {"save_all": True}],
    "GIF": [{}, {"save_all": True}, {"interlace": 0}],
    "BMP": [{}],
    "TIFF": [{}, {"compression": "tiff_lzw"}, {"compression": "jpeg"}, {"save_all": True}],
}
SIDE = 96
HEAD = 64


def mutants(pictures: Sequence[bytes], number: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield `number` damaged files, each with its format.

    Args:
        pictures: photo files.
        number: of mutants; the formats take turns.
        seed: the same seed gives the same mutants.
    """
    chance = np.random.default_rng(seed)
    kinds = list(FORMATS)
    for count in range(number):
        kind = kinds[count % len(kinds)]
        ways = FORMATS[kind]
        way = count // len(kinds) % len(ways)
        content = bytearray(_saved(pictures[count % len(pictures)], kind, way))
        for _ in range(int(chance.integers(1, 4))):
            _damage(content, chance)
        yield kind, bytes(content)


@cache
def _saved(photo: bytes, kind: str, way: int) -> bytes:
    options = dict(FORMATS[kind][way])
    picture = Image.open(io.BytesIO(photo)).convert("RGB").resize((SIDE, SIDE))
    if options.get("save_all"):
        options["append_images"] = [picture.rotate(90), picture.rotate(180)]
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()


def _damage(content: bytearray, chance: np.random.Generator) -> None:
    """Damage a file in one of eight ways."""
    size = len(content)
    if size < HEAD:
        return
    place = int(chance.integers(size))
    length = int(chance.integers(1, 2000))
    match chance.integers(8):
        case 0:  # some bytes anywhere
            for spot in chance.integers(0, size, 8):
                content[spot] = int(chance.integers(256))
        case 1:  # one byte of the header, where sizes and offsets are
            content[place % HEAD] = int(chance.integers(256))
        case 2:  # one bit
            content[place] ^= 1 << int(chance.integers(8))
        case 3:  # a number at its extreme
            extremes = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\x80")
            spot = place % (2 * HEAD)
            content[spot : spot + 4] = extremes[int(chance.integers(4))]
        case 4:  # cut off
            del content[place:]
        case 5:  # a part is missing
            del content[place : place + length]
        case 6:  # a part comes twice
            content[place:place] = content[place : place + length]
        case _:  # a part is blank
            part = len(content[place : place + length])
            content[place : place + length] = bytes(part)


def bombs() -> dict[str, bytes]:
    """Return small files that claim, or decompress to, far more than they hold, by name."""
    side = 60_000
    zeros = _zeros(2**27)
    return {
        "png of zeros": _png(12_000, 12_000, rows=12_000),
        "png that claims": _png(side, side, rows=1),
        "png with text": _png(8, 8, 8, [(b"zTXt", b"a\0\0" + zeros)]),
        "png with a colour profile": _png(8, 8, 8, [(b"iCCP", b"a\0\0" + zeros)]),
        "png with too many rows": _png(8, 8, rows=2**24),
        "jpeg that claims": _patched("JPEG", b"\xff\xc0", 5, struct.pack(">HH", side, side)),
        "progressive jpeg that claims": _patched(
            "JPEG", b"\xff\xc2", 5, struct.pack(">HH", side, side), progressive=True
        ),
        "gif that claims": _patched("GIF", b"GIF8", 6, struct.pack("<HH", side, side)),
        "gif with a large frame": _patched("GIF", b"\x2c", 5, struct.pack("<HH", side, side)),
        "webp that claims": _webp(16_383, 16_383),
        "bmp that claims": _patched("BMP", b"BM", 18, struct.pack("<ii", side, side)),
        "bmp upside down": _patched("BMP", b"BM", 18, struct.pack("<ii", side, -side)),
        "tiff that claims": _tiff(side, side),
        "animation of 1,000 frames": _animation(1000),
    }


def _zeros(size: int) -> bytes:
    """Return zeros, compressed a thousandfold."""
    packer = zlib.compressobj(9)
    block = bytes(2**20)
    parts = [packer.compress(block[: min(2**20, size - at)]) for at in range(0, size, 2**20)]
    return b"".join(parts) + packer.flush()


def _png(width: int, height: int, rows: int, extra: Sequence[tuple[bytes, bytes]] = ()) -> bytes:
    """Return a black 1-bit PNG whose data has another number of rows than it says."""
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    data = _zeros(rows * (1 + -(-width // 8)))
    chunks = [(b"IHDR", head), *extra, (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def _patched(kind: str, mark: bytes, offset: int, value: bytes, **options: object) -> bytes:
    """Return a small picture with `value` at `offset` after the first `mark`."""
    content = io.BytesIO()
    Image.new("RGB", (8, 8)).save(content, kind, **options)
    patched = bytearray(content.getvalue())
    place = patched.index(mark) + offset
    patched[place : place + len(value)] = value
    return bytes(patched)


def _webp(width: int, height: int) -> bytes:
    """Return a WebP whose header promises an animation of this size."""
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    content = io.BytesIO()
    Image.new("RGB", (8, 8)).save(content, "WEBP")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + sizes + content.getvalue()[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _tiff(width: int, height: int) -> bytes:
    """Return a TIFF of one strip that has a few bytes of PackBits."""
    tags = [(256, width), (257, height), (258, 8), (259, 32773), (262, 1), (273, 8)]
    tags += [(277, 1), (278, height), (279, 16)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    data = b"\x81\0" * 8
    return (
        b"II*\0" + struct.pack("<I", 24) + data + struct.pack("<H", len(tags)) + entries + bytes(4)
    )


def _animation(frames: int) -> bytes:
    content = io.BytesIO()
    shades = [Image.new("L", (16, 16), number % 256) for number in range(frames)]
    shades[0].save(content, "GIF", save_all=True, append_images=shades[1:])
    return content.getvalue()
