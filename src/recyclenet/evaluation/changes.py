"""Changes of photos that a model meets in use, at several strengths, for stress tests."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from recyclenet.core.images import ImageArray
from recyclenet.data.manifest import Sample, rank

Draw = Callable[[], np.random.Generator]
Apply = Callable[[Image.Image, Draw], Iterable[Image.Image]]
Graded = Callable[[Image.Image, float, np.random.Generator], Image.Image]
_GREY = (127, 127, 127)
# The exponent of sRGB, about: one stop (1 EV) doubles the light, not the pixel values.
_GAMMA = 2.2


@dataclass(frozen=True, slots=True)
class Change:
    """A kind of change.

    Attributes:
        name: short name.
        summary: what happens to a photo.
        strengths: as text, from weak to strong.
        apply: gives a photo at each strength, or none if it cannot be changed; calls its second
            argument for a random generator, which begins anew each time.
    """

    name: str
    summary: str
    strengths: tuple[str, ...]
    apply: Apply

    def __call__(self, image: ImageArray, sample: Sample, seed: int) -> tuple[ImageArray, ...]:
        """Change a photo `(H, W, 3)` uint8; the results have the same shape.

        What is random depends on the seed and the photo's label and file name alone, and is the
        same for all strengths.

        Returns:
            One result for each strength; none if this photo cannot be changed.
        """
        key = f"{sample.label}/{sample.path.name}\t{self.name}"
        number = int.from_bytes(rank(seed, key)[:8], "big")
        changed = self.apply(Image.fromarray(image), lambda: np.random.default_rng(number))
        return tuple(np.asarray(one) for one in changed)


def _graded(
    name: str, summary: str, strengths: Sequence[float], pattern: str, change: Graded
) -> Change:
    """Return a change that has numbers as strengths.

    Args:
        name: short name.
        summary: what happens to a photo.
        strengths: from weak to strong.
        pattern: format of a strength, such as "{:.0%}".
        change: changes an image, which it may modify, by a strength.
    """

    def apply(image: Image.Image, draw: Draw) -> Iterable[Image.Image]:
        return (change(image.copy(), strength, draw()) for strength in strengths)

    return Change(name, summary, tuple(map(pattern.format, strengths)), apply)


def shrunk(image: ImageArray, side: int) -> ImageArray:
    """Shrink `(H, W, 3)` uint8 until its shorter side has at most `side` pixels.

    The strength of a change so depends on the model's input, not on the camera's resolution.
    """
    height, width = image.shape[:2]
    if min(height, width) <= side:
        return image
    scale = side / min(height, width)
    size = max(side, round(width * scale)), max(side, round(height * scale))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def _rotate(image: Image.Image, degrees: float, random: np.random.Generator) -> Image.Image:
    angle = degrees * random.choice((-1, 1))
    return image.rotate(angle, Image.Resampling.BICUBIC, fillcolor=border_colour(image))


def _occlude(image: Image.Image, share: float, random: np.random.Generator) -> Image.Image:
    """Cover a share of the largest centred square, which most models see."""
    square = min(image.size)
    side = max(1, round(square * share**0.5))
    left, top = (
        (length - square) // 2 + round(place * (square - side))
        for length, place in zip(image.size, random.random(2), strict=True)
    )
    image.paste(_GREY, (left, top, left + side, top + side))
    return image


def _expose(image: Image.Image, stops: float, _: np.random.Generator) -> Image.Image:
    factor = 2 ** (stops / _GAMMA)
    return image.point([min(255, round(value * factor)) for value in range(256)] * 3)


def _blur(image: Image.Image, share: float, _: np.random.Generator) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(share * min(image.size)))


def _compress(image: Image.Image, quality: float, _: np.random.Generator) -> Image.Image:
    content = io.BytesIO()
    image.save(content, "JPEG", quality=int(quality))
    return Image.open(content, formats=("JPEG",)).convert("RGB")


def _make_small(image: Image.Image, share: float, _: np.random.Generator) -> Image.Image:
    width, height = (max(1, round(length * share)) for length in image.size)
    frame = Image.new("RGB", image.size, border_colour(image))
    small = image.resize((width, height), Image.Resampling.BICUBIC)
    frame.paste(small, ((image.width - width) // 2, (image.height - height) // 2))
    return frame


def border_colour(image: Image.Image) -> tuple[int, int, int]:
    """Return the median colour of the border: mostly that of the background."""
    pixels = np.asarray(image)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    red, green, blue = np.median(border, axis=0).astype(int).tolist()
    return red, green, blue


CHANGES = (
    _graded("rotation", "turned to the left or right", (15, 45, 90), "{:g}°", _rotate),
    _graded(
        "occlusion",
        "a grey square covers part of the middle square",
        (0.1, 0.25, 0.5),
        "{:.0%} covered",
        _occlude,
    ),
    _graded("overexposure", "too much light", (1, 2, 3), "{:+g} EV", _expose),
    _graded("underexposure", "too little light", (-2, -4, -6), "{:+g} EV", _expose),
    _graded(
        "blur",
        "out of focus; the radius is a share of the shorter side",
        (0.005, 0.01, 0.02),
        "radius {:.1%}",
        _blur,
    ),
    _graded("JPEG", "strong compression", (40, 15, 5), "quality {:g}", _compress),
    _graded(
        "scale",
        "the photo is small in the frame",
        (0.7, 0.5, 0.3),
        "{:.0%} of the side",
        _make_small,
    ),
)
