"""The prediction table: a classifier's logits for labelled photos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recyclenet.core.files import read_table, write_table
from recyclenet.data.manifest import Sample
from recyclenet.errors import DataError


@dataclass(frozen=True, eq=False)
class PredictionTable:
    """A classifier's logits for labelled photos.

    Attributes:
        samples: the N photos that could be read.
        logits: `(N, K)` float32.
        class_names: the K classes.
        problems: why each of the other photos could not be read, one line each.
    """

    samples: tuple[Sample, ...]
    logits: npt.NDArray[np.float32]
    class_names: tuple[str, ...]
    problems: tuple[str, ...] = ()

    @property
    def targets(self) -> npt.NDArray[np.int64]:
        """The true indices, `(N,)`."""
        return np.array([self.class_names.index(sample.label) for sample in self.samples], np.int64)

    def __repr__(self) -> str:
        return (
            f"PredictionTable({len(self.samples)} photos, {len(self.class_names)} classes, "
            f"{len(self.problems)} unreadable)"
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
    rows = [row for _, row in read_table(path)]
    names = tuple(name.removeprefix("logit_") for name in rows[0][2:]) if rows else ()
    try:
        logits = np.array([[float(cell) for cell in row[2:]] for row in rows[1:]], np.float32)
        if rows[0][:2] != ["path", "target"] or logits.shape != (len(rows) - 1, len(names)):
            raise ValueError
    except (ValueError, IndexError):
        raise DataError(
            f"{path} is no prediction table; crossval and evaluate --predictions write them"
        ) from None
    return [Path(row[0]) for row in rows[1:]], logits, names
