"""Where objects may be in a photo: windows of several sizes, and what differs from the background.

Nothing here asks the model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from recyclenet.core.detection import Box
from recyclenet.core.images import ImageArray
from recyclenet.core.masks import Mask, connected, frame, quadratic_terms

# Sides of the windows, as shares of the shorter side of the photo; they overlap by two thirds.
SCALES = (1.0, 0.7, 0.5, 0.35)
_STEPS_PER_WINDOW = 3.0
MAX_WINDOWS = 110
# Windows with smaller sides show nothing, pixels.
_LEAST_SIDE = 16
# Cells along the longer side of the map of the background.
_CELLS = 128
# Cells at the border that show the background, if there is a plain one.
_RING = 3
# A cell stands out if it differs from the background by so many times the background's own
# scatter, and by so many grey levels.
_TIMES, _LEVELS = 4.0, 14.0
# A border that scatters by at most so many grey levels is plain.
_PLAIN = 8.0
# Area of the smallest part that counts, as a share of the photo.
_LEAST_AREA = 0.004
_MAX_PARTS = 12


def windows(width: int, height: int) -> list[Box]:
    """Return square windows of several sizes that cover a photo, at most `MAX_WINDOWS`."""
    shorter = min(width, height)
    sides = [scale * shorter for scale in SCALES if scale * shorter >= _LEAST_SIDE]
    steps = _STEPS_PER_WINDOW
    while True:
        found = [
            Box(left, top, left + side, top + side)
            for side in sides
            for top in _starts(height, side, steps)
            for left in _starts(width, side, steps)
        ]
        if len(found) <= MAX_WINDOWS:
            return found
        steps *= 0.9  # of a long photo, fewer


def _starts(length: float, side: float, steps: float) -> list[float]:
    count = int(np.ceil((length - side) * steps / side - 1e-9)) + 1
    return [float(start) for start in np.linspace(0, length - side, max(count, 1))]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a photo that differs from the background.

    Attributes:
        box: where it is.
        pieces: the boxes of the pieces into which erosion splits it, such as two objects that
            touch; empty if it stays whole.
    """

    box: Box
    pieces: tuple[Box, ...] = ()


@dataclass(frozen=True, slots=True)
class Scene:
    """What can be said of a photo without the model.

    Attributes:
        is_plain: its border shows a plain background.
        parts: what differs from that background, the largest first; only a few differ from a
            border of many colours.
    """

    is_plain: bool
    parts: tuple[Part, ...]


def look(image: ImageArray) -> Scene:
    """Compare a photo, `(H, W, 3)` uint8, with the background at its border.

    The background is a quadratic surface through the border, for each channel. A border of many
    colours scatters so much around it that little stands out.
    """
    height, width = image.shape[:2]
    scale = min(1.0, _CELLS / max(height, width))
    columns, rows = max(1, round(width * scale)), max(1, round(height * scale))
    if min(columns, rows) < 4 * _RING:
        return Scene(False, ())
    small = Image.fromarray(image).resize((columns, rows), Image.Resampling.BOX)
    differs, scatter = _differs(np.asarray(small, np.float64))
    cell = width / columns, height / rows
    parts = []
    for part in _parts(_smooth(differs)):
        pieces = _pieces(part)
        parts.append(Part(_box_of(part, *cell), tuple(_box_of(piece, *cell) for piece in pieces)))
    return Scene(scatter <= _PLAIN, tuple(parts))


def _differs(cells: npt.NDArray[np.float64]) -> tuple[Mask, float]:
    """Return which cells differ from the background, and how much the border does, grey levels."""
    rows, columns = cells.shape[:2]
    y, x = np.mgrid[0 : 1 : rows * 1j, 0 : 1 : columns * 1j]
    terms = quadratic_terms(x, y)
    border = frame(rows, columns, _RING)
    known, values = terms[border], cells[border]
    keep = np.ones(len(known), bool)
    for _ in range(4):  # leave out what reaches into the border
        fit = np.linalg.lstsq(known[keep], values[keep], rcond=None)[0]
        off = np.abs(known @ fit - values).max(axis=1)
        keep = off <= max(2.5 * float(np.median(off)), 1.0)
    scatter = 1.5 * float(np.median(off))
    off = np.abs(cells - terms @ fit).max(axis=2)
    return np.asarray(off > max(_TIMES * scatter, _LEVELS), bool), scatter


def _smooth(mask: Mask) -> Mask:
    """Close gaps and remove specks of one cell."""
    closed = _shrunk(_shrunk(_grown(_grown(mask))))
    return _grown(_shrunk(closed))


def _grown(mask: Mask) -> Mask:
    padded = np.pad(mask, 1)
    return (
        padded[1:-1, 1:-1]
        | padded[:-2, 1:-1]
        | padded[2:, 1:-1]
        | padded[1:-1, :-2]
        | padded[1:-1, 2:]
    )


def _shrunk(mask: Mask) -> Mask:
    padded = np.pad(mask, 1, constant_values=True)
    return (
        padded[1:-1, 1:-1]
        & padded[:-2, 1:-1]
        & padded[2:, 1:-1]
        & padded[1:-1, :-2]
        & padded[1:-1, 2:]
    )


def _parts(mask: Mask) -> list[Mask]:
    """Return the connected parts of a mask, the largest first."""
    left = mask.copy()
    found = []
    least = _LEAST_AREA * mask.size
    while left.any():
        seed = np.zeros_like(left)
        seed.flat[int(left.argmax())] = True
        part = connected(seed, left)
        left &= ~part
        if part.sum() >= least:
            found.append(part)
    return sorted(found, key=lambda part: -int(part.sum()))[:_MAX_PARTS]


def _pieces(part: Mask) -> list[Mask]:
    """Return the pieces into which erosion splits a part; none if it stays whole."""
    worn, rounds = part, 0
    while worn.any():
        worn, rounds = _shrunk(worn), rounds + 1
        pieces = _parts(worn)
        if len(pieces) < 2:
            continue
        for _ in range(rounds):
            for number, piece in enumerate(pieces):
                others = np.any([*pieces[:number], *pieces[number + 1 :]], axis=0)
                pieces[number] = _grown(piece) & part & ~others
        return pieces
    return []


def _box_of(part: Mask, width: float, height: float) -> Box:
    """Return the box of a part, in pixels; a cell has `width` x `height`."""
    rows, columns = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
    return Box(
        float(columns[0] * width),
        float(rows[0] * height),
        float((columns[-1] + 1) * width),
        float((rows[-1] + 1) * height),
    )
