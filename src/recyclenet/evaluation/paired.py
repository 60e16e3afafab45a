"""Compare two classifiers on the same photos: McNemar's test and a bootstrap interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from recyclenet.data.identity import identity
from recyclenet.data.manifest import Manifest, Sample
from recyclenet.errors import DataError, UsageError
from recyclenet.evaluation.metrics import Z95
from recyclenet.evaluation.table import PredictionTable

NUM_RESAMPLES = 10_000
# With fewer photos that only one of two classifiers gets right, the interval is too narrow.
ENOUGH_DIFFERENT = 10


@dataclass(frozen=True, kw_only=True)
class Paired:
    """How often two classifiers are right on the same N photos, N at least 1.

    Attributes:
        num_both: number of photos that both get right.
        num_first: number that only the first gets right.
        num_second: number that only the second gets right.
        num_neither: number that neither gets right.
        seed: of the bootstrap.
    """

    num_both: int
    num_first: int
    num_second: int
    num_neither: int
    seed: int = 0

    @classmethod
    def count(
        cls, first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_], seed: int = 0
    ) -> Paired:
        """Count, given which photos each classifier gets right, `(N,)` each."""
        return cls(
            num_both=int((first & second).sum()),
            num_first=int((first & ~second).sum()),
            num_second=int((second & ~first).sum()),
            num_neither=int((~first & ~second).sum()),
            seed=seed,
        )

    @property
    def num_photos(self) -> int:
        """The number of photos, N."""
        return self.num_both + self.num_first + self.num_second + self.num_neither

    @property
    def difference(self) -> float:
        """Accuracy of the second minus that of the first, -1 to 1."""
        return (self.num_second - self.num_first) / self.num_photos

    @property
    def p_value(self) -> float:
        """Two-sided p-value of McNemar's exact test; 1 if no photo tells them apart."""
        return mcnemar(self.num_first, self.num_second)

    @property
    def interval(self) -> tuple[float, float]:
        """95% percentile bootstrap interval of the difference, over the photos."""
        # Drawing N photos with replacement draws how many are of each of the three kinds.
        num_same = self.num_both + self.num_neither
        shares = np.array([self.num_first, self.num_second, num_same]) / self.num_photos
        draws = np.random.default_rng(self.seed).multinomial(
            self.num_photos, shares, size=NUM_RESAMPLES
        )
        low, high = np.quantile((draws[:, 1] - draws[:, 0]) / self.num_photos, [0.025, 0.975])
        return float(low), float(high)

    @property
    def adjusted_interval(self) -> tuple[float, float]:
        """95% interval of the difference that also holds for a few photos.

        Agresti and Min (2005, doi:10.1002/sim.1781): the normal interval after adding half a photo
        of each of the four kinds. Unlike the bootstrap's, it has a width where the two agree.
        """
        number = self.num_photos + 2
        won, lost = self.num_second + 0.5, self.num_first + 0.5
        centre = (won - lost) / number
        half = Z95 * sqrt(won + lost - (won - lost) ** 2 / number) / number
        return max(-1.0, centre - half), min(1.0, centre + half)

    @property
    def warning(self) -> str:
        """Why the interval is not reliable; empty if it is."""
        num = self.num_first + self.num_second
        if num >= ENOUGH_DIFFERENT:
            return ""
        if num == 0:
            return "no photo tells the two apart"
        told = "only one photo tells" if num == 1 else f"only {num} photos tell"
        return f"{told} the two apart, so the interval is too narrow; rely on p"

    def to_row(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "difference": round(self.difference, 6),
            "interval95": [round(bound, 6) for bound in self.interval],
            "p_value": self.p_value,
            "num_both_right": self.num_both,
            "num_only_baseline_right": self.num_first,
            "num_only_this_right": self.num_second,
            "num_neither_right": self.num_neither,
        }


def mcnemar(num_first: int, num_second: int) -> float:
    """Return the two-sided p-value of McNemar's exact test.

    It is the binomial test of whether photos that only one classifier gets right are as often the
    first's as the second's.

    Args:
        num_first: number of photos that only the first classifier gets right.
        num_second: number of photos that only the second gets right.

    >>> mcnemar(0, 5)
    0.0625
    >>> mcnemar(0, 0)
    1.0
    """
    num, few = num_first + num_second, min(num_first, num_second)
    if num_first == num_second:
        return 1.0
    # Probability of `few` heads of `num` coins, then of each smaller number.
    term = total = comb(num, few) / (1 << num)
    for k in range(few, 0, -1):
        term *= k / (num - k + 1)
        total += term
    return min(1.0, 2 * total)


@dataclass(frozen=True, eq=False)
class Common:
    """The photos that several prediction tables share.

    Attributes:
        samples: the N photos, with their true labels.
        targets: indices of their labels, `(N,)`.
        class_names: the K classes, in the order of the first table.
        logits: of each table, `(N, K)` float32.
        num_left_out: number of photos that are not in all tables.
    """

    samples: tuple[Sample, ...]
    targets: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    logits: tuple[npt.NDArray[np.float32], ...]
    num_left_out: int


def check_same_classes(names: Sequence[str], class_names: Sequence[Sequence[str]]) -> None:
    """Refuse to compare classifiers of different classes.

    Args:
        names: of the classifiers.
        class_names: the classes of each.

    Raises:
        UsageError: two of them have different classes; the order does not matter.
    """
    first = set(class_names[0])
    for name, others in zip(names[1:], class_names[1:], strict=True):
        if missing := sorted(first ^ set(others)):
            owner = names[0] if missing[0] in first else name
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise UsageError(
                f"{names[0]} and {name} have different classes: only {owner} knows "
                f"{missing[0]!r}{more}; compare models of the same classes"
            )


def on_common_photos(
    names: Sequence[str], tables: Sequence[PredictionTable], manifest: Manifest | None = None
) -> Common:
    """Return the predictions for the photos that are in all tables.

    A photo that is listed twice counts once.

    Args:
        names: of the tables, for error messages.
        tables: two or more.
        manifest: the photos to consider, with the labels that count; None for those of the tables.

    Raises:
        UsageError: the tables have different classes.
        DataError: no photo is in all tables, or two tables disagree on a label.
    """
    check_same_classes(names, [table.class_names for table in tables])
    rows = [_rows(table.samples) for table in tables]
    truth = tables[0].samples if manifest is None else manifest.samples
    chosen = {
        file: sample
        for file, sample in reversed([(identity(sample.path), sample) for sample in truth])
        if all(file in own for own in rows)
    }
    if not chosen:
        where = f"{', '.join(names)}{' and --data' if manifest is not None else ''}"
        raise DataError(
            f"no photo is in all of {where}; compare predictions for the same photos, and run the "
            f"command in the folder that relative paths start from"
        )
    files = [file for file in rows[0] if file in chosen]
    samples = tuple(chosen[file] for file in files)
    if manifest is None:
        _check_labels(names, tables, rows, files)
    classes = tables[0].class_names
    places = [[own[file] for file in files] for own in rows]
    return Common(
        samples,
        np.array([classes.index(sample.label) for sample in samples], np.int64),
        classes,
        tuple(
            table.logits[np.ix_(place, [table.class_names.index(name) for name in classes])]
            for table, place in zip(tables, places, strict=True)
        ),
        len(set().union(*rows)) - len(files),
    )


def _rows(samples: Sequence[Sample]) -> dict[tuple[int, int, str], int]:
    """Return the first row of each photo."""
    rows: dict[tuple[int, int, str], int] = {}
    for row, sample in enumerate(samples):
        rows.setdefault(identity(sample.path), row)
    return rows


def _check_labels(
    names: Sequence[str],
    tables: Sequence[PredictionTable],
    rows: Sequence[dict[tuple[int, int, str], int]],
    files: Sequence[tuple[int, int, str]],
) -> None:
    for file in files:
        labels = [table.samples[own[file]].label for table, own in zip(tables, rows, strict=True)]
        for name, label in zip(names, labels, strict=True):
            if label != labels[0]:
                path = tables[0].samples[rows[0][file]].path
                raise DataError(
                    f"{path} is {labels[0]!r} in {names[0]}, but {label!r} in {name}; give --data, "
                    f"whose labels then count"
                )
