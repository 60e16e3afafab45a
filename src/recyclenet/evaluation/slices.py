"""The accuracy on parts of the photos: by name, or by thirds of a measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recyclenet.evaluation.metrics import wilson_interval


@dataclass(frozen=True, slots=True)
class Slice:
    """The accuracy on some of the photos.

    Attributes:
        name: of the slice.
        num_photos: number of its photos, at least 1.
        num_right: number of right answers.
        bounds: lowest and highest value of the measure; None for slices by name.
    """

    name: str
    num_photos: int
    num_right: int
    bounds: tuple[float, float] | None = None

    @property
    def accuracy(self) -> float:
        """Share of right answers, 0 to 1."""
        return self.num_right / self.num_photos

    @property
    def interval(self) -> tuple[float, float]:
        """95% Wilson interval of the accuracy."""
        return wilson_interval(self.num_right, self.num_photos)

    def to_row(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        low, high = self.interval
        return {
            "name": self.name,
            "num_photos": self.num_photos,
            "accuracy": round(self.accuracy, 6),
            "interval95": [round(low, 6), round(high, 6)],
            "bounds": None if self.bounds is None else [round(b, 6) for b in self.bounds],
        }


def by_name(names: Sequence[str], right: npt.NDArray[np.bool_]) -> list[Slice]:
    """Return a slice for each name, sorted.

    Args:
        names: of N photos.
        right: `(N,)`.
    """
    array = np.array(names, dtype=object)
    return [
        Slice(name, int((array == name).sum()), int(right[array == name].sum()))
        for name in sorted(set(names))
    ]


def by_thirds(
    values: npt.NDArray[np.float64], right: npt.NDArray[np.bool_], names: tuple[str, str, str]
) -> list[Slice]:
    """Return up to three slices with about equally many photos each.

    Photos with equal values share a slice. If all values are equal, there is nothing to compare,
    and no slice.

    Args:
        values: the measure, `(N,)`; NaN where unknown.
        right: `(N,)`.
        names: of the third with the lowest values, the middle one, and the highest one.
    """
    known = ~np.isnan(values)
    values, right = values[known], right[known]
    if not len(values) or values.min() == values.max():
        return []
    thirds = np.searchsorted(np.quantile(values, [1 / 3, 2 / 3]), values, side="left")
    return [
        Slice(
            name,
            int((thirds == i).sum()),
            int(right[thirds == i].sum()),
            (float(values[thirds == i].min()), float(values[thirds == i].max())),
        )
        for i, name in enumerate(names)
        if (thirds == i).any()
    ]
