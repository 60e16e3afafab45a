"""Cuts the object out of a photo with a plain background, without a trained network.

The background is the smooth surface that the border of the photo shows: whatever is connected to
the border and has its colour, in the light or in a soft shadow, is background.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from recyclenet.core.images import ImageArray
from recyclenet.core.masks import Mask, connected, frame, quadratic_terms

Floats = npt.NDArray[np.float32]

# The mask is computed on a small copy: its shorter and its longest side, in pixels.
_SIDE, _MAX_SIDE = 192, 768
_MIN_SIDE = 32
# The border: its width as a share of the shorter side, how much of it must show one surface, and by
# how many 8-bit levels the colour of the surface may vary.
_BORDER, _MIN_PLAIN, _MAX_NOISE = 0.03, 0.6, 7.0
# Differences from the background, in multiples of its noise: perhaps object, surely object.
_PERHAPS, _SURE = 4.0, 8.0
_LEAST_NOISE = np.array([4.0, 2.5, 2.5], np.float32)
# A soft shadow: how dark, how much it may change the colour, and how steep it may be.
_DARKEST, _MAX_TINT, _MAX_STEEP = 0.55, 8.0, 2.5
# The object: its share of the photo, how much of it is not thin, and its share of the middle.
_MIN_SHARE, _MAX_SHARE, _MIN_COMPACT, _MIN_MIDDLE = 0.03, 0.85, 0.75, 0.3
_THIN = 2  # parts up to twice this width are too thin to belong to the object


def find_object(image: ImageArray) -> Floats | None:
    """Return how much of each pixel is object, `(H, W)` float32 in 0..1.

    Args:
        image: `(H, W, 3)` uint8.

    Returns:
        The mask with a soft edge; None if the background is not plain, or if no compact object in
        the middle stands out from it.
    """
    height, width = image.shape[:2]
    scale = min(1.0, _SIDE / min(height, width))
    size = round(width * scale), round(height * scale)
    if min(size) < _MIN_SIDE or max(size) > _MAX_SIDE:
        return None
    small = Image.fromarray(image).resize(size, Image.Resampling.BOX)
    smooth = small.filter(ImageFilter.GaussianBlur(0.7))
    inside = _object(_opponent(np.asarray(smooth, np.float32)))
    return None if inside is None else _soft(inside, (width, height))


def _object(pixels: Floats) -> Mask | None:
    height, width = pixels.shape[:2]
    side = max(2, round(_BORDER * min(height, width)))
    border = frame(height, width, side)
    background, noise = _surface(pixels, border)
    far = _distance(pixels, background, noise)
    if (far[border] < _PERHAPS).mean() < _MIN_PLAIN or noise.max() > _MAX_NOISE:
        return None
    # Once more, now that the background inside the border is known, too.
    background, noise = _surface(pixels, connected(border, far < _PERHAPS))
    far = _distance(pixels, background, noise)
    outside = connected(border, (far < _PERHAPS) | _in_shadow(pixels, background))
    cores = _filtered(far > _SURE, ImageFilter.MinFilter, _THIN)
    inside = connected(cores, ~outside)
    inside = _opened(~connected(border, ~inside), _THIN)  # a hole belongs to the object
    middle = np.zeros_like(border)
    middle[height // 3 : -(height // 3), width // 3 : -(width // 3)] = True
    inside = connected(middle, inside)
    is_object = (
        _MIN_SHARE <= inside.mean() <= _MAX_SHARE
        and inside[middle].mean() >= _MIN_MIDDLE
        and _opened(inside, 2 * side).sum() >= _MIN_COMPACT * inside.sum()
    )
    return inside if is_object else None


def _opponent(pixels: Floats) -> Floats:
    """Return the brightness of RGB pixels and two differences of their colours, `(H, W, 3)`."""
    red, green, blue = np.moveaxis(pixels, 2, 0)
    return np.stack([(red + green + blue) / 3, red - green, (red + green) / 2 - blue], axis=2)


def _surface(pixels: Floats, where: Mask) -> tuple[Floats, Floats]:
    """Fit a quadratic surface to pixels; most of these, but not all, are background.

    Returns:
        The surface, `(H, W, 3)`, and the deviation of each channel from it, `(3,)`.
    """
    height, width = where.shape
    down, across = np.nonzero(where)
    step = max(1, len(down) // 4000)
    down, across = down[::step], across[::step]
    values, terms = pixels[down, across], quadratic_terms(across / width, down / height)
    kept = np.abs(values[:, 0] - np.median(values[:, 0])) < 60
    weights, noise = np.zeros((6, 3)), np.ones(3)
    for _ in range(6):
        weights, *_ = np.linalg.lstsq(terms[kept], values[kept], rcond=None)
        rest = np.abs(values - terms @ weights)
        noise = np.maximum(1.4826 * np.median(rest[kept], axis=0), 0.5)
        closer = (rest < 3 * noise + 1).all(axis=1)
        if closer.sum() < 20:
            break
        kept = closer
    x, y = np.meshgrid(np.arange(width) / width, np.arange(height) / height)
    surface = quadratic_terms(x, y) @ weights
    return surface.astype(np.float32), noise.astype(np.float32)


def _distance(pixels: Floats, background: Floats, noise: Floats) -> Floats:
    scaled = (pixels - background) / np.maximum(noise, _LEAST_NOISE)
    distance: Floats = np.sqrt((scaled**2).sum(axis=2))
    return distance


def _in_shadow(pixels: Floats, background: Floats) -> Mask:
    """Return where the background may lie in a soft shadow."""
    light = pixels[..., 0]
    ratio = light / np.maximum(background[..., 0], 1)
    tint = np.abs(pixels[..., 1:] - background[..., 1:] * ratio[..., None]).max(axis=2)
    steep = np.hypot(*np.gradient(light))
    shadow: Mask = (ratio > _DARKEST) & (ratio < 1) & (tint < _MAX_TINT) & (steep < _MAX_STEEP)
    return shadow


def _opened(mask: Mask, radius: int) -> Mask:
    """Return a mask without its thin parts."""
    core = _filtered(mask, ImageFilter.MinFilter, radius)
    return _filtered(core, ImageFilter.MaxFilter, radius)


def _filtered(mask: Mask, kind: Callable[[int], ImageFilter.RankFilter], radius: int) -> Mask:
    return np.asarray(Image.fromarray(mask).convert("L").filter(kind(2 * radius + 1))) > 0


def _soft(mask: Mask, size: tuple[int, int]) -> Floats:
    """Return a mask in another size, a little smaller, with a soft edge."""
    large = Image.fromarray(mask).convert("L").resize(size, Image.Resampling.BICUBIC)
    blurred = large.filter(ImageFilter.GaussianBlur(1 + min(size) / 448))
    shares: Floats = np.clip(np.asarray(blurred, np.float32) / 127.5 - 1, 0, 1)
    return shares
