"""Finding photos that belong together: copies of one picture, and pictures of one object.

Perceptual hashes (https://www.phash.org) of 256 bits: which low frequencies of a picture are above
their median; the same as those of the package imagehash.
Copies resized to a third of the pixels and saved at JPEG quality 50 differ in at most 34 bits
(2,527 TrashNet photos); different photos of that set, on plain backgrounds, in 48 and more.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import numpy.typing as npt
from PIL import Image

from recyclenet.core.images import ImageArray
from recyclenet.data.manifest import Manifest, Sample
from recyclenet.errors import DataError

MAX_DISTANCE = 40
HASH_SIDE = 16
# The picture is shrunk to four times the side of its hash.
SIDE = 4 * HASH_SIDE
_WORDS = HASH_SIDE * HASH_SIDE // 64
_DIGITS = HASH_SIDE * HASH_SIDE // 4
_HALF = _WORDS // 2
HASHES = re.compile(f"[0-9a-f]{{{_DIGITS}}}(-[0-9a-f]{{{_DIGITS}}}){{3}}")
# Rows compared at once, with so many others: small enough for the processor's cache.
_BLOCK, _TILE = 64, 2048


def perceptual_hashes(image: ImageArray) -> str:
    """Return the hashes of a picture and of its three mirror images, in hexadecimal.

    Args:
        image: `(H, W, 3)` uint8 RGB.

    Returns:
        Four hashes of 64 digits with "-" between: as it is, left to right, upside down, both.
    """
    from scipy.fft import dctn

    small = Image.fromarray(image).convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    waves = dctn(np.asarray(small, np.float64))[:HASH_SIDE, :HASH_SIDE]
    # In a mirror image every second wave has the other sign.
    signs = np.where(np.arange(HASH_SIDE) % 2, -1, 1)
    views = [waves, waves * signs]
    views += [view * signs[:, None] for view in views]
    return "-".join(np.packbits(view > np.median(view)).tobytes().hex() for view in views)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two photos that are one picture.

    Attributes:
        rows: their numbers, the smaller one first.
        distance: bits in which the hashes differ.
        mirrored: whether one is a mirror image of the other.
    """

    rows: tuple[int, int]
    distance: int
    mirrored: bool = False


def find_pairs(manifest: Manifest, max_distance: int = MAX_DISTANCE) -> list[Pair]:
    """Return pairs of photos that show one picture, in the order of their rows.

    Of photos with equal hashes each is paired with the first alone.

    Args:
        manifest: rows with digests and hashes, as a scan writes them.
        max_distance: bits in which two hashes may differ.

    Raises:
        DataError: the rows have no hashes.
    """
    samples = manifest.samples
    if not all(sample.phash for sample in samples):
        raise DataError("the photos have no perceptual hashes; first: recyclenet data scan")
    first: dict[str, int] = {}
    pairs = []
    for row, sample in enumerate(samples):
        other = first.setdefault(sample.phash, row)
        if other != row:
            pairs.append(Pair((other, row), 0))
    rows = list(first.values())  # any number of equal pictures costs no more than one
    table = _table([samples[row] for row in rows])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for near in pool.map(
            lambda start: _near(table, start, max_distance), range(0, len(rows), _BLOCK)
        ):
            pairs += [replace(p, rows=(rows[p.rows[0]], rows[p.rows[1]])) for p in near]
    return sorted(pairs, key=lambda pair: pair.rows)


def is_copy(phash: str, others: Iterable[str]) -> bool:
    """Return whether hashes are those of one of the other pictures, mirrored or not."""
    content = bytes.fromhex("".join([phash, *others]).replace("-", ""))
    table = np.frombuffer(content, np.uint64).reshape(-1, 4, _WORDS)
    return bool((_differing(table[:1], table[1:, :1]) <= MAX_DISTANCE).any())


def clusters(num_rows: int, pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Return the rows that pairs join, also by way of others: sorted lists of two or more."""
    parents = list(range(num_rows))

    def root(row: int) -> int:
        while parents[row] != row:
            parents[row] = parents[parents[row]]
            row = parents[row]
        return row

    for pair in pairs:
        low, high = sorted(map(root, pair))
        parents[high] = low
    members: dict[int, list[int]] = defaultdict(list)
    for row in range(num_rows):
        members[root(row)].append(row)
    return [rows for rows in members.values() if len(rows) > 1]


def find_objects(
    features: npt.NDArray[np.float32], min_similarity: float
) -> Iterator[tuple[int, int]]:
    """Yield pairs of rows whose photos look like one object, the smaller number first.

    Args:
        features: `(N, D)`, what a network sees in each photo.
        min_similarity: cosine between two photos' features, less the mean of all.
    """
    centred = features - features.mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True) + 1e-12
    for start in range(0, len(centred), _TILE):
        block = centred[start : start + _TILE]
        for left in range(start, len(centred), _TILE):
            found = np.argwhere(block @ centred[left : left + _TILE].T >= min_similarity)
            for row, other in (found + np.array((start, left))).tolist():
                if row < other:
                    yield row, other


def with_groups(manifest: Manifest, pairs: Iterable[tuple[int, int]]) -> Manifest:
    """Give rows that belong together a common group; rows that have one already keep it shared.

    A group bears the name of its first row's: its old group, or the start of its digest.
    """
    samples = list(manifest)
    first: dict[str, int] = {}
    grouped = [
        (first.setdefault(sample.group, row), row)
        for row, sample in enumerate(samples)
        if sample.group
    ]
    for rows in clusters(len(samples), chain(pairs, grouped)):
        name = samples[rows[0]].group or samples[rows[0]].sha256[:16]
        for row in rows:
            samples[row] = replace(samples[row], group=name)
    return Manifest(tuple(samples))


def _table(samples: Sequence[Sample]) -> npt.NDArray[np.uint64]:
    """Return the hashes as `(N, 4, words)`."""
    for sample in samples:
        if not HASHES.fullmatch(sample.phash):
            raise DataError(
                f"{sample.path} has a perceptual hash of another kind; scan the photos again"
            )
    content = b"".join(bytes.fromhex(sample.phash.replace("-", "")) for sample in samples)
    return np.frombuffer(content, ">u8").reshape(len(samples), 4, _WORDS).astype(np.uint64)


def _near(table: npt.NDArray[np.uint64], start: int, max_distance: int) -> list[Pair]:
    """Compare the rows of one block with themselves and all later ones, tile by tile."""
    block = table[start : start + _BLOCK, 0]
    found: dict[tuple[int, int], Pair] = {}
    for left in range(start, len(table), _TILE):
        tile = table[left : left + _TILE]
        for view in range(4):
            # Half of the bits rule out nearly all pairs; the rest is counted for the others.
            distance = _differing(block[:, None, :_HALF], tile[None, :, view, :_HALF])
            rows, others = np.nonzero(distance <= max_distance)
            exact = _differing(block[rows], tile[others, view])
            for row, other, bits in zip(rows + start, others + left, exact, strict=True):
                if row < other and bits <= max_distance:
                    pair = Pair((int(row), int(other)), int(bits), bool(view))
                    known = found.setdefault(pair.rows, pair)
                    if pair.distance < known.distance:
                        found[pair.rows] = pair
    return list(found.values())


def _differing(
    some: npt.NDArray[np.uint64], others: npt.NDArray[np.uint64]
) -> npt.NDArray[np.uint16]:
    """Return the number of bits in which hashes differ, word by word along the last axis."""
    distance = np.zeros(np.broadcast_shapes(some.shape, others.shape)[:-1], np.uint16)
    for word in range(some.shape[-1]):
        distance += np.bitwise_count(some[..., word] ^ others[..., word])
    return distance
