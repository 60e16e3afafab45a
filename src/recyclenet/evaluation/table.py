"""The prediction table: what evaluation reads, whoever made the logits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recyclenet.core.files import read_table, write_table
from recyclenet.errors import DataError


def write_predictions(
    path: Path,
    paths: Sequence[Path],
    targets: npt.NDArray[np.int64],
    logits: npt.NDArray[np.float32],
    class_names: tuple[str, ...],
) -> None:
    """Write a CSV with the columns path, target, then one logit a class, atomically.

    Args:
        path: where the table goes.
        paths: of the N photos.
        targets: `(N,)` true indices.
        logits: `(N, K)`.
        class_names: the K classes.
    """
    columns = ["path", "target", *(f"logit_{name}" for name in class_names)]
    rows = [
        [photo, target, *(f"{value:.6g}" for value in row)]
        for photo, target, row in zip(paths, targets.tolist(), logits, strict=True)
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
