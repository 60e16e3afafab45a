"""Brightness, size and blur of a photo, measured with NumPy alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from recyclenet.core.images import ImageArray

# Looks are measured on a picture of at most so many pixels a side.
SIDE = 256
_WINDOW = 11


@dataclass(frozen=True, slots=True)
class Looks:
    """How a photo looks.

    Attributes:
        brightness: mean grey level, 0 to 1.
        blur: 0 is sharp, 1 has no edge; see `blurriness`.
        megapixels: of the photo as it was taken; None if unknown.
    """

    brightness: float
    blur: float
    megapixels: float | None = None


def measure_looks(image: ImageArray, num_pixels: int = 0) -> Looks:
    """Measure a photo.

    Args:
        image: `(H, W, 3)` uint8 RGB, possibly decoded at reduced size.
        num_pixels: of the photo as it was taken; 0 if unknown.
    """
    picture = Image.fromarray(image)
    picture.thumbnail((SIDE, SIDE))
    grey = np.asarray(picture.convert("L"), np.float32)
    return Looks(float(grey.mean() / 255), blurriness(grey), num_pixels / 1e6 or None)


def blurriness(grey: npt.NDArray[np.float32]) -> float:
    """Return how little a picture `(H, W)` loses by blurring, 0 to 1 (Crete et al. 2007)."""
    found = [0.0]
    for axis in (0, 1):
        edges = np.abs(np.diff(grey, axis=axis))
        left = np.abs(np.diff(_blurred(grey, axis), axis=axis))
        if edges.any():
            found.append(1 - float(np.maximum(0, edges - left).sum() / edges.sum()))
    return max(found)


def _blurred(grey: npt.NDArray[np.float32], axis: int) -> npt.NDArray[np.float64]:
    """Return the mean over a window along one axis; the picture is mirrored at its borders."""
    half = _WINDOW // 2
    padding = [(half + 1, half) if number == axis else (0, 0) for number in (0, 1)]
    sums = np.pad(grey, padding, mode="symmetric").cumsum(axis=axis, dtype=np.float64)
    size = grey.shape[axis]
    end, start = (np.arange(size) + shift for shift in (_WINDOW, 0))
    return np.asarray((sums.take(end, axis) - sums.take(start, axis)) / _WINDOW)
