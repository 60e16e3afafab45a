"""Figures of photos beside their heatmaps, as PNG files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePath

import numpy as np
from PIL import Image

from recyclenet.core.files import picture_png
from recyclenet.core.images import ImageArray

_MAX_NAME = 50  # characters of at most 4 bytes, so that any file system takes the name


def figure(images: Sequence[ImageArray]) -> bytes:
    """Return square images beside each other, as a PNG file.

    Args:
        images: `(S, S, 3)` uint8; S of the first one counts.
    """
    side = images[0].shape[0]
    scaled = [np.asarray(Image.fromarray(image).resize((side, side))) for image in images]
    return picture_png(Image.fromarray(np.concatenate(scaled, axis=1)))


def figure_names(paths: Iterable[str]) -> list[str]:
    """Return a file name for the figure of each photo.

    It is the photo's name with the ending `.png`, and a number if photos share a name.
    """
    used: set[str] = set()
    numbers: dict[str, int] = {}  # the last one tried
    names = []
    for path in paths:
        stem = PurePath(path).stem[:_MAX_NAME] or "photo"
        name, key = f"{stem}.png", stem.casefold()
        while name.casefold() in used:
            numbers[key] = numbers.get(key, 1) + 1
            name = f"{stem}-{numbers[key]}.png"
        used.add(name.casefold())
        names.append(name)
    return names
