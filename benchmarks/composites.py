"""Photos of several objects with known boxes, made of photos of single ones.

Objects are cut out of photos with a plain background and pasted on another background, two to four
a picture. The same seed gives the same pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from recyclenet.core.images import decode_image
from recyclenet.data.manifest import Sample

SIZE = (800, 600)  # columns and rows of a composite
NUM_OBJECTS = (2, 3, 4)
# Longest side of an object, share of the longer side of the composite.
SIDES = (0.27, 0.5)
_TRIES = 400
# A pixel belongs to the object if it differs by so many grey levels from the background.
_CONTRAST = 22.0
_BORDER = 12  # pixels that show only background
_NARROWEST = 0.2  # strip of background, share of the photo
_MARGIN = 4  # pixels beside it, for the shadow of the object

Box = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class Cutout:
    """An object without its background.

    Attributes:
        label: its class.
        picture: RGBA, as large as the object.
        background: the widest strip of the photo beside the object, stretched to the size of a
            composite, `(H, W, 3)` uint8; None if all strips are narrow.
    """

    label: str
    picture: Image.Image
    background: npt.NDArray[np.uint8] | None


@dataclass(frozen=True, eq=False)
class Composite:
    """A picture of several objects.

    Attributes:
        image: `(H, W, 3)` uint8.
        boxes: left, top, right and bottom of each object, pixels.
        labels: the class of each.
    """

    image: npt.NDArray[np.uint8]
    boxes: tuple[Box, ...]
    labels: tuple[str, ...]


def cut_out(sample: Sample) -> Cutout | None:
    """Cut the object out of a photo; return None if it does not stand out from its background."""
    image = decode_image(sample.path)
    height, width = image.shape[:2]
    mask = _object(image)
    if mask is None:
        return None
    top, bottom, left, right = _edges(mask)
    share = mask.mean()
    filled = mask.sum() / ((bottom - top) * (right - left))
    is_inside = min(top, left) >= 3 and bottom <= height - 3 and right <= width - 3
    if not (is_inside and 0.04 <= share <= 0.7 and filled >= 0.35):
        return None
    alpha = ndimage.gaussian_filter(mask.astype(np.float32), 1.0)
    rgba = np.dstack([image, (255 * alpha).astype(np.uint8)])[top:bottom, left:right]
    strip = _strip(image, (top, bottom, left, right))
    return Cutout(sample.label, Image.fromarray(rgba), strip)


def _object(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_] | None:
    """Return the largest part of a photo that differs from its background, `(H, W)`.

    The background is a quadratic surface through the border of the photo, for each channel.
    """
    inside = np.zeros(image.shape[:2], bool)
    inside[_BORDER:-_BORDER, _BORDER:-_BORDER] = True
    terms = _terms(*image.shape[:2])
    known, values = terms[~inside], image[~inside].astype(np.float64)
    fit = np.linalg.lstsq(known, values, rcond=None)[0]
    near = np.abs(known @ fit - values).max(axis=1) < _CONTRAST
    if near.mean() > 0.3:  # without what reaches into the border
        fit = np.linalg.lstsq(known[near], values[near], rcond=None)[0]
    far = np.abs(image - terms @ fit).max(axis=2)
    mask = ndimage.gaussian_filter(far, 1.5) > _CONTRAST
    mask = ndimage.binary_fill_holes(ndimage.binary_closing(mask, iterations=4))
    parts, count = ndimage.label(ndimage.binary_opening(mask, iterations=3))
    if not count:
        return None
    sizes = np.bincount(parts.ravel())[1:]
    return np.asarray(ndimage.binary_fill_holes(parts == 1 + int(sizes.argmax())))


def _edges(mask: npt.NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return top, bottom, left and right of a mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _terms(height: int, width: int) -> npt.NDArray[np.float64]:
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)


def _strip(
    image: npt.NDArray[np.uint8], edges: tuple[int, int, int, int]
) -> npt.NDArray[np.uint8] | None:
    """Return the widest strip of a photo beside its object, stretched; None if it is narrow."""
    height, width = image.shape[:2]
    top, bottom, left, right = edges
    share, box = max(
        (left / width, (0, 0, left, height)),
        (1 - right / width, (right, 0, width, height)),
        (top / height, (0, 0, width, top)),
        (1 - bottom / height, (0, bottom, width, height)),
    )
    if share < _NARROWEST:
        return None
    inner = box[0] + _MARGIN, box[1] + _MARGIN, box[2] - _MARGIN, box[3] - _MARGIN
    picture = Image.fromarray(image)
    return np.asarray(picture.resize(SIZE, Image.Resampling.BICUBIC, box=inner))


def photo_background(path: Path) -> npt.NDArray[np.uint8]:
    """Return a photo that covers a composite."""
    picture = Image.fromarray(decode_image(path))
    scale = max(SIZE[0] / picture.width, SIZE[1] / picture.height)
    size = (max(SIZE[0], round(picture.width * scale)), max(SIZE[1], round(picture.height * scale)))
    return np.asarray(picture.resize(size, Image.Resampling.BICUBIC).crop((0, 0, *SIZE)))


def compose(
    background: npt.NDArray[np.uint8], cutouts: Sequence[Cutout], draw: np.random.Generator
) -> Composite:
    """Paste two to four objects on a background; their boxes may touch but not overlap."""
    canvas = Image.fromarray(background)
    boxes: list[Box] = []
    labels: list[str] = []
    shrink = 1.0
    wanted = int(draw.choice(NUM_OBJECTS))
    chosen = [cutouts[number] for number in draw.choice(len(cutouts), wanted, replace=False)]
    for cutout in chosen:
        for _ in range(_TRIES):
            picture = cutout.picture
            scale = shrink * draw.uniform(*SIDES) * SIZE[0] / max(picture.size)
            width, height = (max(1, round(side * scale)) for side in picture.size)
            if width >= SIZE[0] or height >= SIZE[1]:
                continue
            left = int(draw.integers(SIZE[0] - width))
            top = int(draw.integers(SIZE[1] - height))
            box = (left, top, left + width, top + height)
            if any(_overlap(box, other) for other in boxes):
                shrink *= 0.995
                continue
            picture = picture.resize((width, height), Image.Resampling.LANCZOS)
            if draw.random() < 0.5:
                picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            canvas.paste(picture, box, picture)
            boxes.append(box)
            labels.append(cutout.label)
            break
    return Composite(np.asarray(canvas), tuple(boxes), tuple(labels))


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
