"""The prediction table: a classifier's logits for labelled photos."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recyclenet.core.files import read_table, write_table
from recyclenet.data.manifest import Sample
from recyclenet.errors import DataError, RecycleNetError
from recyclenet.evaluation.metrics import Scores, score


@dataclass(frozen=True, eq=False)
class PredictionTable:
    """A classifier's logits for labelled photos.

    Attributes:
        samples: the N photos that could be read.
        logits: `(N, K)` float32.
        class_names: the K classes.
        problems: one error for each photo without logits.
        unknown: `(N,)` float32, the probability that a photo shows none of the classes; None if
            the model has no unknown score.
    """

    samples: tuple[Sample, ...]
    logits: npt.NDArray[np.float32]
    class_names: tuple[str, ...]
    problems: tuple[RecycleNetError, ...] = ()
    unknown: npt.NDArray[np.float32] | None = None

    @property
    def targets(self) -> npt.NDArray[np.int64]:
        """The indices of the true classes, `(N,)`."""
        return np.array([self.class_names.index(sample.label) for sample in self.samples], np.int64)

    def score(self, temperature: float = 1.0, threshold: float = 0.0) -> Scores:
        """Return the metrics.

        Args:
            temperature: divisor of the logits before the softmax.
            threshold: lowest trust that counts as known; see `core.decision.trust`.
        """
        return score(
            self.logits,
            self.targets,
            self.class_names,
            temperature=temperature,
            threshold=threshold,
            unknown=self.unknown,
        )

    def by_domain(self) -> dict[str, PredictionTable]:
        """Return the table of each domain; empty if there is only one."""
        rows: dict[str, list[int]] = defaultdict(list)
        for row, sample in enumerate(self.samples):
            rows[sample.domain].append(row)
        if len(rows) < 2:
            return {}
        return {
            domain: replace(
                self,
                samples=tuple(self.samples[row] for row in chosen),
                logits=self.logits[chosen],
                problems=(),
                unknown=None if self.unknown is None else self.unknown[chosen],
            )
            for domain, chosen in sorted(rows.items())
        }

    def __repr__(self) -> str:
        return (
            f"PredictionTable({len(self.samples)} photos, {len(self.class_names)} classes, "
            f"{len(self.problems)} unanswered)"
        )


def write_predictions(path: Path, table: PredictionTable) -> None:
    """Write a CSV with the columns path, target and one logit per class, atomically."""
    columns = ["path", "target", *(f"logit_{name}" for name in table.class_names)]
    rows = [
        [sample.path, target, *(f"{value:.6g}" for value in row)]
        for sample, target, row in zip(
            table.samples, table.targets.tolist(), table.logits, strict=True
        )
    ]
    write_table(path, [columns, *rows])


def read_predictions(path: Path) -> PredictionTable:
    """Read a table written by `write_predictions`.

    Raises:
        UsageError: the file cannot be read.
        DataError: the file is not a prediction table.
    """
    rows = read_table(path)
    _, columns = next(rows, (1, []))
    names = tuple(name.removeprefix("logit_") for name in columns[2:])
    if columns[:2] != ["path", "target"] or not names or len(set(names)) < len(names):
        raise DataError(
            f"{path} is not a prediction table; create one with crossval or evaluate --predictions"
        )
    targets = {str(number): name for number, name in enumerate(names)}
    samples, logits = [], []
    for line, row in rows:
        numbers = _numbers(row[2:])
        if numbers is None or len(numbers) != len(names) or not row[0] or row[1] not in targets:
            raise DataError(
                f"{path}, line {line}: a row needs a path, a target from 0 to {len(names) - 1} and "
                f"{len(names)} finite logits; write the table again"
            )
        samples.append(Sample(Path(row[0]), targets[row[1]]))
        logits.append(numbers)
    if not samples:
        raise DataError(f"{path} lists no photos; write the table again")
    return PredictionTable(tuple(samples), np.stack(logits), names)


def _numbers(cells: list[str]) -> npt.NDArray[np.float32] | None:
    """Return the numbers in the cells; None if one is not a finite number."""
    try:
        with np.errstate(over="ignore"):
            numbers = np.array([float(cell) for cell in cells]).astype(np.float32)
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() else None
