"""The answer for one picture."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from recyclenet.errors import ImageError

if TYPE_CHECKING:
    from recyclenet.core.images import ImageSource


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What the model says of one picture, or why there is no answer.

    Attributes:
        path: the picture, as it was named; None where it had no name.
        label: the most probable class; None where there is no answer.
        confidence: calibrated probability of `label`, 0 to 1.
        probabilities: calibrated probability of each class, most probable first.
        stream: the disposal stream of `label`.
        bin: where it goes, in words, by the rules in force; the advice to ask a person where the
            answer is not known; None where there is none.
        known: False where the model had better say that it does not know.
        error: why there is no answer; None where there is one.
        source: what was classified, for the picture that a notebook shows.
    """

    path: str | None
    label: str | None = None
    confidence: float | None = None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    stream: str | None = None
    bin: str | None = None
    known: bool = False
    error: str | None = None
    source: ImageSource | None = field(default=None, repr=False, compare=False)

    def to_row(self, top_k: int | None = None) -> dict[str, Any]:
        """Return plain values for JSON, with the `top_k` most probable classes (all by default)."""
        shown = list(self.probabilities.items())[:top_k]
        return {
            "path": self.path,
            "label": self.label,
            "confidence": _rounded(self.confidence),
            "probabilities": {name: _rounded(value) for name, value in shown},
            "stream": self.stream,
            "bin": self.bin,
            "known": self.known,
            "error": self.error,
        }

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the picture with a bar for each class."""
        from recyclenet.core.images import decode_image
        from recyclenet.core.pages import THUMBNAIL, render_page

        picture = None
        if self.source is not None and self.error is None:
            with suppress(ImageError):  # the file may have gone since
                picture = decode_image(self.source, min_side=THUMBNAIL)
        return render_page("recyclenet.core", "prediction.html", prediction=self, picture=picture)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
