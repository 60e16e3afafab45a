"""Several objects in one photo: a box and a prediction for each."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from recyclenet.core.prediction import Prediction
from recyclenet.errors import ImageError

if TYPE_CHECKING:
    from recyclenet.core.images import ImageArray, ImageSource

_COLOUR, _INK = (20, 105, 235), (255, 255, 255)


class Box(NamedTuple):
    """A rectangle; right and bottom lie outside of it.

    Attributes:
        left: pixels from the left edge of the upright photo.
        top: pixels from its top edge.
        right: as `left`.
        bottom: as `top`.
    """

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """Width in pixels."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Height in pixels."""
        return self.bottom - self.top

    @property
    def area(self) -> float:
        """Number of pixels; 0 if there is nothing between the edges."""
        return max(self.width, 0.0) * max(self.height, 0.0)

    def common(self, other: Box) -> float:
        """Return the area that two boxes share."""
        return Box(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        ).area

    def overlap(self, other: Box) -> float:
        """Return the intersection over the union, 0 to 1."""
        common = self.common(other)
        return common / (self.area + other.area - common) if common else 0.0


@dataclass(frozen=True, slots=True)
class Detection:
    """One object.

    Attributes:
        box: where it is, in pixels of the upright photo.
        prediction: the answer for what is in the box.
    """

    box: Box
    prediction: Prediction

    def to_row(self, top_k: int | None = None) -> dict[str, Any]:
        """Return plain values for JSON, with the `top_k` most probable classes (all by default)."""
        row = self.prediction.to_row(top_k)
        del row["path"], row["error"]
        return {"box": [round(side) for side in self.box], **row}


@dataclass(frozen=True, kw_only=True)
class Detections:
    """The objects in one photo, or the reason why there is no answer.

    Attributes:
        path: the path as given; None if the photo was not given as a path.
        width: of the upright photo, pixels; None if it cannot be read.
        height: likewise.
        objects: what was found, from the top to the bottom of the photo; empty for nothing.
        num_runs: how many pictures the model was shown for it.
        error: why there is no answer; None if there is one.
        source: the photo, for display in a notebook.
    """

    path: str | None
    width: int | None = None
    height: int | None = None
    objects: tuple[Detection, ...] = ()
    num_runs: int = 0
    error: str | None = None
    source: ImageSource | None = field(default=None, repr=False, compare=False)

    def to_row(self, top_k: int | None = None) -> dict[str, Any]:
        """Return plain values for JSON, with the `top_k` most probable classes (all by default)."""
        return {
            "path": self.path,
            "width": self.width,
            "height": self.height,
            "objects": [one.to_row(top_k) for one in self.objects],
            "error": self.error,
        }

    def drawn(self, image: ImageArray) -> ImageArray:
        """Return a copy of the photo with the boxes and their numbers, from 1.

        Args:
            image: the upright photo at any size, `(H, W, 3)` uint8.
        """
        import numpy as np
        from PIL import Image, ImageDraw

        picture = Image.fromarray(image)
        pen = ImageDraw.Draw(picture)
        thick = max(2, round(min(picture.size) / 160))
        across = picture.width / (self.width or picture.width)
        down = picture.height / (self.height or picture.height)
        for number, one in enumerate(self.objects, 1):
            left, right = (side * across for side in (one.box.left, one.box.right))
            top, bottom = (side * down for side in (one.box.top, one.box.bottom))
            pen.rectangle((left, top, right - 1, bottom - 1), outline=_COLOUR, width=thick)
            label = str(one.prediction.label)
            # Pillow's own font has no other letters.
            name = f"{number} {label}" if label.isascii() and label.isprintable() else str(number)
            room = pen.textbbox((left, top), name, font_size=8 * thick)
            pen.rectangle((left, top, room[2] + thick, room[3] + thick), fill=_COLOUR)
            pen.text((left + thick / 2, top), name, fill=_INK, font_size=8 * thick)
        return np.asarray(picture)

    def _repr_html_(self) -> str:
        """Return HTML for notebooks: the photo with boxes, and a line for each object."""
        from recyclenet.core.images import decode_image
        from recyclenet.core.pages import THUMBNAIL, render_page

        picture = None
        if self.source is not None and self.error is None:
            with suppress(ImageError):  # the file may be gone by now
                picture = self.drawn(decode_image(self.source, min_side=THUMBNAIL))
        return render_page("recyclenet.core", "detections.html", found=self, picture=picture)
