"""What a taught model has learned and forgotten, and how many more photos would help."""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Any

from recyclenet.core.files import write_bytes
from recyclenet.core.model_info import ModelInfo
from recyclenet.errors import RecycleNetError

ENOUGH_PHOTOS = 10


@dataclass(frozen=True, eq=False)
class Teaching:
    """What a model has learned and forgotten.

    Attributes:
        label: the taught class.
        num_photos: number of photos used; copies count once.
        recall: share of them that gets the label when it is left out, 0 to 1.
        interval: 95% Wilson interval of that.
        curve: number of photos taught, and recall on those left out.
        num_held_out: number of held-out photos of all classes that the model kept.
        accuracy_before: share of these answered right before; None if there are none.
        accuracy: the share now.
        classes: recall of each class on its held-out photos, before and now.
        info: the new model's metadata.
        content: the new model file.
        is_new: whether the model did not know the class before.
        recall_before: share of the photos that got the label before, 0 to 1.
        problems: one error for each photo that cannot be read.
    """

    label: str
    num_photos: int
    recall: float
    interval: tuple[float, float]
    curve: tuple[tuple[int, float], ...]
    num_held_out: int
    accuracy_before: float | None
    accuracy: float | None
    classes: dict[str, tuple[float, float]]
    info: ModelInfo
    content: bytes
    is_new: bool = True
    recall_before: float = 0.0
    problems: tuple[RecycleNetError, ...] = ()

    @property
    def warning(self) -> str | None:
        """Why the estimates are rough; None if there are enough photos."""
        if self.num_photos >= ENOUGH_PHOTOS:
            return None
        return (
            f"only {self.num_photos} photos; the estimates are rough, take {ENOUGH_PHOTOS} or more"
        )

    @property
    def advice(self) -> str:
        """How many more photos would help, from the learning curve."""
        if self.recall >= 0.95:
            return "More photos of this kind would help little."
        wrong = [(size, 1 - recall) for size, recall in self.curve]
        (first, many), (last, few) = wrong[0], wrong[-1]
        if len(wrong) < 2 or few <= 0 or many <= 0:
            return f"Take {ENOUGH_PHOTOS} or more photos to see whether more would help."
        slope = log(many / few) / log(last / first)
        if slope < 0.15:
            return (
                "The curve is flat: more photos of the same kind would help little. Photograph "
                "other objects, backgrounds and light, or train anew."
            )
        more = round(self.num_photos * (2 ** (1 / slope) - 1))
        if more > 20 * self.num_photos:
            return "The curve is nearly flat: halving the misses would take hundreds of photos."
        return f"About {more} more photos may halve the misses (a rough estimate)."

    def to_row(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "label": self.label,
            "is_new": self.is_new,
            "stream": self.info.streams[self.label],
            "num_photos": self.num_photos,
            "num_unreadable": len(self.problems),
            "recall_before": round(self.recall_before, 6),
            "recall": round(self.recall, 6),
            "recall_interval95": [round(bound, 6) for bound in self.interval],
            "curve": [
                {"num_photos": size, "recall": round(recall, 6)} for size, recall in self.curve
            ],
            "num_held_out": self.num_held_out,
            "accuracy_before": _rounded(self.accuracy_before),
            "accuracy": _rounded(self.accuracy),
            "classes": [
                {"name": name, "recall_before": round(before, 6), "recall": round(now, 6)}
                for name, (before, now) in self.classes.items()
            ],
            "warning": self.warning,
            "advice": self.advice,
        }

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the new model file, atomically."""
        write_bytes(Path(path), self.content)

    def __repr__(self) -> str:
        return f"Teaching({self.label!r}, {self.num_photos} photos, recall {self.recall:.0%})"


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 6)
