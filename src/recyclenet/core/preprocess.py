"""The evaluation transform: from a decoded image to the model's input.

Its settings are part of the model file, so training and every use of the model agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from recyclenet.core.images import ImageArray
from recyclenet.errors import ModelFileError

RESIZE_MODES = ("crop", "stretch")
# Far wider than any real network needs; no pixel overflows within these limits.
_LARGEST_MEAN, _LEAST_STD, _LARGEST_STD = 1000.0, 0.0001, 1000.0


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """Resize to a square, then normalise the pixels.

    Attributes:
        image_size: side of the square, pixels.
        resize_mode: "crop" takes the largest centred square; "stretch" resizes the whole image and
            ignores its aspect ratio.
        mean: mean of each RGB channel, for pixels scaled to 0..1.
        std: standard deviation of each RGB channel, for pixels scaled to 0..1.
    """

    image_size: int = 224
    resize_mode: str = "crop"
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)

    def __post_init__(self) -> None:
        if not 16 <= self.image_size <= 2048:
            raise ValueError(f"image_size must be 16 to 2048 pixels, not {self.image_size}")
        if self.resize_mode not in RESIZE_MODES:
            raise ValueError(
                f"resize_mode must be {' or '.join(RESIZE_MODES)}, not {self.resize_mode!r}"
            )
        if (
            (len(self.mean), len(self.std)) != (3, 3)
            or not all(abs(value) <= _LARGEST_MEAN for value in self.mean)
            or not all(_LEAST_STD <= value <= _LARGEST_STD for value in self.std)
        ):
            raise ValueError(
                f"mean and std need three numbers each, mean within {_LARGEST_MEAN:g} of zero and "
                f"std from {_LEAST_STD:g} to {_LARGEST_STD:g}"
            )

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Shape of one model input: channels, rows, columns."""
        return 3, self.image_size, self.image_size

    @property
    def min_side(self) -> int:
        """Smallest side, in pixels, to which the decoder should shrink an image."""
        return 2 * self.image_size

    def resize(
        self, image: ImageArray, part: tuple[float, float, float, float] | None = None
    ) -> ImageArray:
        """Resize `(H, W, 3)` uint8 to `(image_size, image_size, 3)` uint8; bicubic, antialiased.

        Args:
            image: the image.
            part: left, top, right and bottom of a part of it, which is resized as a whole,
                whatever the `resize_mode`; None for the image.
        """
        height, width = image.shape[:2]
        box = part
        if part is None and self.resize_mode == "crop":
            side = min(height, width)
            left, top = (width - side) / 2, (height - side) / 2
            box = (left, top, left + side, top + side)
        size = (self.image_size, self.image_size)
        resized = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC, box=box)
        return np.asarray(resized)

    def normalise(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Normalise `(..., S, S, 3)` uint8 to `(..., 3, S, S)` float32."""
        scale = np.float32(1.0) / (np.asarray(self.std, np.float32) * np.float32(255.0))
        shift = np.asarray(self.mean, np.float32) / np.asarray(self.std, np.float32)
        scaled = images.astype(np.float32) * scale - shift
        return np.ascontiguousarray(np.moveaxis(scaled, -1, -3))

    def __call__(self, image: ImageArray) -> npt.NDArray[np.float32]:
        """Transform `(H, W, 3)` uint8 RGB to `(3, image_size, image_size)` float32."""
        return self.normalise(self.resize(image))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for the model file."""
        return {
            "image_size": self.image_size,
            "resize_mode": self.resize_mode,
            "mean": list(self.mean),
            "std": list(self.std),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Preprocess:
        """Read the output of `to_dict`.

        Raises:
            ModelFileError: a value is missing, has the wrong type or is out of range.
        """
        try:
            if type(values["image_size"]) is not int:
                raise TypeError("image_size must be a whole number")
            mean, std = (tuple(map(_number, values[key])) for key in ("mean", "std"))
            return cls(
                image_size=values["image_size"],
                # Schema 1 calls it "fit".
                resize_mode=values["fit"] if "fit" in values else values["resize_mode"],
                mean=mean,  # type: ignore[arg-type]
                std=std,  # type: ignore[arg-type]
            )
        except (KeyError, OverflowError, TypeError, ValueError) as error:
            raise ModelFileError(
                f"the model file has invalid preprocessing settings: {error}"
            ) from error


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"mean and std must be numbers, not {type(value).__name__}")
    return float(value)
