"""Measuring what networks cost on this machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from recyclenet.core.progress import Progress, silent
from recyclenet.costs.models import CostRow, measure_models, write_costs
from recyclenet.costs.plot import draw_costs
from recyclenet.errors import UsageError


def benchmark(
    names: Sequence[str],
    *,
    image_size: int = 224,
    repeats: int = 15,
    threads: int = 0,
    out: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
) -> list[CostRow]:
    """Compare networks: parameters, multiply-adds, memory, latency, throughput.

    Args:
        names: model names, each measured once in PyTorch and in ONNX Runtime.
        image_size: side of the pictures, pixels.
        repeats: timed rounds.
        threads: for each runtime; 0 leaves the choice to it.
        out: folder for `models.csv` and `models.png`; None writes nothing.
        progress: reports networks prepared and rounds timed.

    Returns:
        One row for each network and runtime.

    Raises:
        UsageError: a name is unknown or given twice, or `out` is a file.
        RecycleNetError: a network cannot be exported.
    """
    if out is not None and Path(out).exists() and not Path(out).is_dir():
        raise UsageError(f"{out} is not a folder")
    rows = measure_models(names, image_size, repeats, threads, progress)
    if out is not None:
        write_costs(rows, Path(out) / "models.csv")
        draw_costs(rows, Path(out) / "models.png")
    return rows
