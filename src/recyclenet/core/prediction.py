"""The prediction for one photo."""

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
    """The model's answer for one photo, or the reason why there is none.

    Attributes:
        path: the path as given; None if the photo was not given as a path.
        label: the most probable class; None if there is no answer.
        confidence: calibrated probability of `label`, 0 to 1.
        probabilities: calibrated probability of each class, most probable first.
        stream: the disposal stream of `label`.
        bin: name of the bin under the rules in use, or the advice to ask a person: if the rules
            give the cost of asking, where that is cheapest; otherwise where `known` is False. With
            an unknown score, all classes of the bin count together, so that an answer that is not
            `known` may have a bin. None if there is no answer.
        known: whether the confidence, times the probability that the photo shows one of the
            classes, reaches the threshold in use.
        unknown: probability that the photo shows none of the classes; None if the model has no
            unknown score.
        expected_cost: expected cost of what `bin` says; None if the rules do not give it.
        error: why there is no answer; None if there is one.
        source: the classified photo, for display in a notebook.
    """

    path: str | None
    label: str | None = None
    confidence: float | None = None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    stream: str | None = None
    bin: str | None = None
    known: bool = False
    unknown: float | None = None
    expected_cost: float | None = None
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
            "unknown": _rounded(self.unknown),
            "expected_cost": _rounded(self.expected_cost),
            "error": self.error,
        }

    def _repr_html_(self) -> str:
        """Return HTML for notebooks: the photo with a bar for each class."""
        from recyclenet.core.images import decode_image
        from recyclenet.core.pages import THUMBNAIL, render_page

        picture = None
        if self.source is not None and self.error is None:
            with suppress(ImageError):  # the file may be gone by now
                picture = decode_image(self.source, min_side=THUMBNAIL)
        return render_page("recyclenet.core", "prediction.html", prediction=self, picture=picture)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
