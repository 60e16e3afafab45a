"""What a dataset looks like in numbers: classes, sizes, colours."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import isqrt
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from recyclenet.core.images import ImageArray, decoded
from recyclenet.core.progress import Progress, silent
from recyclenet.core.resources import num_cores
from recyclenet.data.manifest import Manifest
from recyclenet.errors import UsageError

MEAN_SIDE = 128
_CHUNK = 256
_DIGITS = 10**9


@dataclass(frozen=True)
class Statistics:
    """The pixels of all photos together.

    Attributes:
        num_pixels: how many there are.
        mean: of each channel RGB, of values 0 to 1, over all pixels of all photos.
        std: likewise, the standard deviation.
        mean_image: `(128, 128, 3)` uint8, the average of all photos made square.
    """

    num_pixels: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    mean_image: ImageArray


def measure(manifest: Manifest, progress: Progress = silent) -> Statistics:
    """Count the pixels of every photo, one photo in memory at a time and thread.

    Only whole numbers are added up, so neither the order nor the machine changes the result.

    Raises:
        UsageError: there are no photos.
        ImageError: a photo cannot be read.
    """
    if not len(manifest):
        raise UsageError("there are no photos to measure")
    counts = np.zeros((3, 256), np.int64)
    total = np.zeros((MEAN_SIDE, MEAN_SIDE, 3), np.int64)
    paths = [sample.path for sample in manifest]
    with ThreadPoolExecutor(num_cores()) as pool:
        for start in range(0, len(paths), _CHUNK):
            for levels, small in pool.map(_count, paths[start : start + _CHUNK]):
                counts += levels
                total += small
            progress(min(start + _CHUNK, len(paths)), len(paths))
    means, deviations = zip(*(_moments(channel.tolist()) for channel in counts), strict=True)
    mean_image = (total / len(paths)).round().astype(np.uint8)
    return Statistics(int(counts[0].sum()), means, deviations, mean_image)


def _count(path: Path) -> tuple[npt.NDArray[np.int64], ImageArray]:
    """Return how often each channel has each level `(3, 256)`, and the photo made square."""
    size = MEAN_SIDE, MEAN_SIDE
    with decoded(path) as image:
        levels = np.stack([np.bincount(image[..., c].ravel(), minlength=256) for c in range(3)])
        return levels, np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))


def _moments(counts: list[int]) -> tuple[float, float]:
    """Return mean and standard deviation of levels 0 to 255 scaled to 0 to 1."""
    number = sum(counts)
    first = sum(level * count for level, count in enumerate(counts))
    second = sum(level * level * count for level, count in enumerate(counts))
    root = isqrt((number * second - first * first) * _DIGITS**2)
    return first / number / 255, root / number / _DIGITS / 255
