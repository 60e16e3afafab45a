"""The prediction table: a classifier's logits for labelled photos."""

from __future__ import annotations

from dataclasses import dataclass
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
        problems: why each of the other photos has no logits.
    """

    samples: tuple[Sample, ...]
    logits: npt.NDArray[np.float32]
    class_names: tuple[str, ...]
    problems: tuple[RecycleNetError, ...] = ()

    @property
    def targets(self) -> npt.NDArray[np.int64]:
        """The true indices, `(N,)`."""
        return np.array([self.class_names.index(sample.label) for sample in self.samples], np.int64)

    def score(self, temperature: float = 1.0, threshold: float = 0.0) -> Scores:
        """Return the figures.

        Args:
            temperature: divides the logits.
            threshold: least confidence of a known answer.
        """
        return score(
            self.logits,
            self.targets,
            self.class_names,
            temperature=temperature,
            threshold=threshold,
        )

    def __repr__(self) -> str:
        return (
            f"PredictionTable({len(self.samples)} photos, {len(self.class_names)} classes, "
            f"{len(self.problems)} without an answer)"
        )


def write_predictions(path: Path, table: PredictionTable) -> None:
    """Write a CSV with the columns path, target, then one logit a class, atomically."""
    columns = ["path", "target", *(f"logit_{name}" for name in table.class_names)]
    rows = [
        [sample.path, target, *(f"{value:.6g}" for value in row)]
        for sample, target, row in zip(
            table.samples, table.targets.tolist(), table.logits, strict=True
        )
    ]
    write_table(path, [columns, *rows])


def read_predictions(
    path: Path,
) -> tuple[list[Path], npt.NDArray[np.float32], tuple[str, ...]]:
    """Read such a table.

    Returns:
        The N paths, the logits `(N, K)`, and the K classes.

    Raises:
        UsageError: the file cannot be read.
        DataError: it is no such table.
    """
    rows = read_table(path)
    _, columns = next(rows, (1, []))
    names = tuple(name.removeprefix("logit_") for name in columns[2:])
    paths, logits = [], []
    if columns[:2] != ["path", "target"] or not names or len(set(names)) < len(names):
        raise DataError(
            f"{path} is no prediction table; crossval and evaluate --predictions write them"
        )
    for line, row in rows:
        numbers = _numbers(row[2:])
        if numbers is None or len(numbers) != len(names) or not row[0]:
            raise DataError(
                f"{path}, line {line}: a row needs a path, a target and {len(names)} numbers, "
                f"the logits"
            )
        paths.append(Path(row[0]))
        logits.append(numbers)
    if not paths:
        raise DataError(f"{path} lists no photos")
    return paths, np.stack(logits), names


def _numbers(cells: list[str]) -> npt.NDArray[np.float32] | None:
    """Return what the cells say; None where one is no finite number."""
    try:
        with np.errstate(over="ignore"):
            numbers = np.array([float(cell) for cell in cells]).astype(np.float32)
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() else None
