"""Other backgrounds for the object of a photo: generated ones, or photos."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from recyclenet.core.images import ImageArray
from recyclenet.evaluation.changes import Change, Draw, border_colour
from recyclenet.evaluation.cutout import find_object

Size = tuple[int, int]
Random = np.random.Generator
Background = Callable[[Size, Random], Image.Image]
Shares = npt.NDArray[np.float64]
_NUM_SHAPES = 60


def background_change(photos: Sequence[ImageArray] = ()) -> Change:
    """Return the change that puts the object of a photo on other backgrounds.

    Its first strength is the control: the object on the colour of its own background. What that
    costs is due to cutting, and not to the background.

    Args:
        photos: backgrounds, `(H, W, 3)` uint8; empty for generated ones.
    """
    kinds: dict[str, Background]
    if photos:
        kinds = {"own photos": lambda size, random: _photo(photos, size, random)}
    else:
        kinds = {"gradient": _gradient, "texture": _texture, "clutter": _clutter}

    def apply(image: Image.Image, draw: Draw) -> Iterator[Image.Image]:
        mask = find_object(np.asarray(image))
        if mask is None:
            return
        shown = Image.fromarray(np.round(255 * mask).astype(np.uint8))
        plain = Image.new("RGB", image.size, border_colour(image))
        for background in (plain, *(kind(image.size, draw()) for kind in kinds.values())):
            yield Image.composite(image, background, shown)

    return Change(
        "background",
        "cut out and put on another background; the first one has the colour of the photo's own",
        ("own colour", *kinds),
        apply,
    )


def _photo(photos: Sequence[ImageArray], size: Size, random: Random) -> Image.Image:
    """Draw one of the photos, a part of it, mirrored or not."""
    chosen = Image.fromarray(photos[int(random.integers(len(photos)))])
    across, down, mirrored = random.random(3)
    fitted = ImageOps.fit(chosen, size, Image.Resampling.BICUBIC, centering=(across, down))
    return ImageOps.mirror(fitted) if mirrored < 0.5 else fitted


def _gradient(size: Size, random: Random) -> Image.Image:
    """Draw one colour that changes into another across the picture."""
    along, _ = _turned(size, random)
    return _mixed(along, random)


def _texture(size: Size, random: Random) -> Image.Image:
    """Draw stripes, tiles or clouds in two colours, uneven and grainy."""
    along, beside = _turned(size, random)
    uneven = np.sum([_clouds(size, cells, random) / cells for cells in (3, 6, 12, 24)], axis=0)
    turns = random.uniform(4, 30)
    kind = random.integers(3)
    if kind == 0:
        values = np.sin(2 * np.pi * turns * (along + 0.15 * uneven))
    elif kind == 1:
        values = np.sign(np.sin(turns * along) * np.sin(turns * beside)) + 0.4 * uneven
    else:
        values = uneven
    return _mixed(values + random.normal(0, 0.08 * values.std() + 1e-9, values.shape), random)


def _clutter(size: Size, random: Random) -> Image.Image:
    """Draw many things of all colours, over and beside each other."""
    picture = _texture(size, random)
    pen, side = ImageDraw.Draw(picture), min(size)
    for _ in range(_NUM_SHAPES):
        centre = random.random(2) * size
        radius = side * random.uniform(0.03, 0.2)
        corners = np.sort(random.random(random.integers(3, 9))) * 2 * np.pi
        reach = radius * random.uniform(0.5, 1.5, (len(corners), 1))
        points = centre + reach * np.stack([np.cos(corners), np.sin(corners)], 1)
        colour = _colour(random)
        kind = random.integers(3)
        if kind == 0:
            pen.polygon([(x, y) for x, y in points.tolist()], colour)
        elif kind == 1:
            (left, top), (right, bottom) = points.min(0).tolist(), points.max(0).tolist()
            pen.ellipse((left, top, right, bottom), colour)
        else:
            pen.line([(x, y) for x, y in points.tolist()], colour, max(1, round(side / 60)))
    return picture.filter(ImageFilter.GaussianBlur(side / 450))


def _turned(size: Size, random: Random) -> tuple[Shares, Shares]:
    """Return coordinates along and beside a random direction, in shorter sides, `(H, W)`."""
    angle, (width, height) = random.uniform(0, 2 * np.pi), size
    x, y = np.meshgrid(np.arange(width) / min(size), np.arange(height) / min(size))
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def _clouds(size: Size, cells: int, random: Random) -> Shares:
    """Return smooth random values, `(H, W)`, that change within a `cells`-th of the picture."""
    coarse = Image.fromarray(random.normal(size=(cells + 1, cells + 1)).astype(np.float32))
    return np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), np.float64)


def _mixed(values: Shares, random: Random) -> Image.Image:
    """Return a picture that is one colour at the least of the values, another at the largest."""
    first, second = np.array(_colour(random)), np.array(_colour(random))
    share = (values - values.min()) / max(np.ptp(values), 1e-9)
    return Image.fromarray(np.round(first + share[..., None] * (second - first)).astype(np.uint8))


def _colour(random: Random) -> tuple[int, int, int]:
    """Draw a colour that is rarely strong, as those of floors, tables and walls are."""
    drawn = random.uniform(10, 245, 3)
    red, green, blue = np.round(drawn.mean() + 0.6 * (drawn - drawn.mean())).astype(int).tolist()
    return red, green, blue
