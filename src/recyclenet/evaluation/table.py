"""The prediction table: what evaluation reads, whoever made the logits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recyclenet.core.files import write_table


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
