"""Finding photos that belong together: copies of one picture, and pictures of one object.

Perceptual hashes (https://www.phash.org) of 256 bits: which low frequencies of a picture are above
their median; the same as those of the package imagehash, for a picture and its seven turned and
mirrored forms. A picture without features has hashes of zeros, which match nothing.
Copies resized to a third of the pixels and saved at JPEG quality 50 differ in at most 34 bits
(2,527 TrashNet photos); different photos of that set, on plain backgrounds, in 48 and more.
"""

from __future__ import annotations

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
from recyclenet.core.resources import num_cores
from recyclenet.data.manifest import Manifest, Sample
from recyclenet.errors import DataError

MAX_DISTANCE = 40
HASH_SIDE = 16
# The picture is shrunk to four times the side of its hash.
SIDE = 4 * HASH_SIDE
_WORDS = HASH_SIDE * HASH_SIDE // 64
_DIGITS = HASH_SIDE * HASH_SIDE // 4
_HALF = _WORDS // 2
# As scans write them: eight, or the four of earlier versions.
HASHES = re.compile("-".join([f"[0-9a-f]{{{_DIGITS}}}"] * 4) + f"((-[0-9a-f]{{{_DIGITS}}}){{4}})?")
# Standard deviation of the shrunk picture, in levels of grey. A white sheet or a black frame has
# less; of 8,457 photos of four sources the flattest has 2.5.
MIN_CONTRAST = 1.0
# Every hash of a picture with features has 128 of its 256 bits set; one of a flat picture, as
# earlier versions computed it, has one.
_MIN_BITS = 64
# Rows whose hashes are compared at once, and with how many others: small enough for the processor's
# cache. Features are compared in squares of this many rows.
_BLOCK, _TILE = 8, 4096
_SQUARE = 2048


def perceptual_hashes(image: ImageArray) -> str:
    """Return the hashes of a picture, mirrored and turned by 90 degrees too, in hexadecimal.

    Args:
        image: `(H, W, 3)` uint8 RGB.

    Returns:
        Eight hashes of 64 digits with "-" between: as it is, left to right, upside down, both; then
        the same of the picture with rows and columns exchanged. Zeros for one without features.
    """
    from scipy.fft import dctn

    small = np.asarray(
        Image.fromarray(image).convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS),
        np.float64,
    )
    if small.std() < MIN_CONTRAST:
        return "-".join(["0" * _DIGITS] * 8)
    waves = dctn(small)[:HASH_SIDE, :HASH_SIDE]
    # In a mirror image every second wave has the other sign.
    signs = np.where(np.arange(HASH_SIDE) % 2, -1, 1)
    views = [waves, waves * signs]
    views += [view * signs[:, None] for view in views]
    views += [view.T for view in views]
    return "-".join(np.packbits(view > np.median(view)).tobytes().hex() for view in views)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two photos that are one picture.

    Attributes:
        rows: their numbers, the smaller one first.
        distance: bits in which the hashes differ.
        turned: whether one is the other mirrored or turned by 90 degrees.
    """

    rows: tuple[int, int]
    distance: int
    turned: bool = False


def find_pairs(manifest: Manifest, max_distance: int = MAX_DISTANCE) -> list[Pair]:
    """Return pairs of photos that show one picture, in the order of their rows.

    Photos with equal hashes are each paired with the first of them only; pictures without features
    are never paired.

    Args:
        manifest: rows with hashes, as a scan writes them. Where any row has only the four hashes of
            earlier versions, copies turned by 90 degrees are not found.
        max_distance: bits in which two hashes may differ.

    Raises:
        DataError: the rows have no hashes.
    """
    samples = manifest.samples
    if not all(sample.phash for sample in samples):
        raise DataError("the photos have no perceptual hashes; run recyclenet data scan first")
    first: dict[str, int] = {}
    equal = []
    for row, sample in enumerate(samples):
        other = first.setdefault(sample.phash, row)
        if other != row:
            equal.append(Pair((other, row), 0))
    unique = list(first.values())  # any number of equal pictures costs no more than one
    table = _table([samples[row] for row in unique])
    telling = np.bitwise_count(table[:, 0]).sum(1) >= _MIN_BITS
    table, rows = table[telling], [row for row, tells in zip(unique, telling, strict=True) if tells]
    words = np.ascontiguousarray(table.transpose(1, 2, 0))  # one word of all rows side by side
    shown = frozenset(rows)
    pairs = [pair for pair in equal if pair.rows[0] in shown]
    with ThreadPoolExecutor(num_cores()) as pool:
        for near in pool.map(
            lambda start: _near(words, start, max_distance), range(0, len(rows), _BLOCK)
        ):
            pairs += [replace(p, rows=(rows[p.rows[0]], rows[p.rows[1]])) for p in near]
    return sorted(pairs, key=lambda pair: pair.rows)


def is_copy(phash: str, others: Iterable[str]) -> bool:
    """Return whether a picture is a copy of one of the others, possibly mirrored or turned."""
    mine = _words([phash])
    if np.bitwise_count(mine[0]).sum() < _MIN_BITS:
        return False
    theirs = _words([other.partition("-")[0] for other in others])
    distances = np.bitwise_count(theirs[:, None] ^ mine).sum(2, dtype=np.int64)
    return bool((distances <= MAX_DISTANCE).any())


def _words(hashes: Iterable[str]) -> npt.NDArray[np.uint64]:
    """Return hashes `(N, words)` from texts with "-" between those of one picture."""
    content = bytes.fromhex("".join(hashes).replace("-", ""))
    return np.frombuffer(content, ">u8").reshape(-1, _WORDS).astype(np.uint64)


def clusters(num_rows: int, pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Return the rows that pairs connect, directly or through others: sorted lists of two or more.

    The lists are in the order of their first rows.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = np.array(list(pairs), np.int64).reshape(-1, 2)
    if not len(edges):
        return []
    graph = coo_array((np.ones(len(edges), np.bool_), edges.T), (num_rows, num_rows))
    _, labels = connected_components(graph, directed=False)
    members: dict[int, list[int]] = defaultdict(list)
    for row, label in enumerate(labels.tolist()):
        members[label].append(row)
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
    for start in range(0, len(centred), _SQUARE):
        block = centred[start : start + _SQUARE]
        for left in range(start, len(centred), _SQUARE):
            found = np.argwhere(block @ centred[left : left + _SQUARE].T >= min_similarity)
            for row, other in (found + np.array((start, left))).tolist():
                if row < other:
                    yield row, other


def with_groups(manifest: Manifest, pairs: Iterable[tuple[int, int]]) -> Manifest:
    """Give rows that belong together a common group; rows of one group stay in one group.

    A group is named after its first row: by that row's old group, or the start of its digest.
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
    """Return the hashes as `(N, views, words)`; as many views as every row has, 8 or 4."""
    for sample in samples:
        if not HASHES.fullmatch(sample.phash):
            raise DataError(
                f"{sample.path} has a perceptual hash in an unknown format; scan the photos again"
            )
    parts = [sample.phash.split("-") for sample in samples]
    views = min(map(len, parts), default=8)
    words = _words(chain.from_iterable(hashes[:views] for hashes in parts))
    return words.reshape(len(parts), views, _WORDS)


def _near(words: npt.NDArray[np.uint64], start: int, max_distance: int) -> list[Pair]:
    """Compare some rows with themselves and all later ones, tile by tile.

    Args:
        words: hashes as `(views, words, N)`.
        start: the first of the rows.
        max_distance: bits in which two hashes may differ.
    """
    block = words[0, :, start : start + _BLOCK]
    found: dict[tuple[int, int], Pair] = {}
    for left in range(start, words.shape[2], _TILE):
        for view, tile in enumerate(words[:, :, left : left + _TILE]):
            # Half of the bits rule out nearly all pairs; the rest is counted for the others.
            distance = np.bitwise_count(block[0, :, None] ^ tile[0])
            for word in range(1, _HALF):
                distance += np.bitwise_count(block[word, :, None] ^ tile[word])
            if distance.min() > max_distance:
                continue
            rows, others = np.nonzero(distance <= max_distance)
            exact = np.bitwise_count(block[:, rows] ^ tile[:, others]).sum(0, dtype=np.int64)
            for row, other, bits in zip(rows + start, others + left, exact, strict=True):
                if row < other and bits <= max_distance:
                    pair = Pair((int(row), int(other)), int(bits), bool(view))
                    known = found.setdefault(pair.rows, pair)
                    if pair.distance < known.distance:
                        found[pair.rows] = pair
    return list(found.values())
