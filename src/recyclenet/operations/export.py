"""Exporting a trained run to a model file."""

from __future__ import annotations

import os
from pathlib import Path

from recyclenet.core.progress import Progress, silent
from recyclenet.exporting.onnx import export_run
from recyclenet.training.run import Run


def export(
    run: str | os.PathLike[str] | Run,
    out: str | os.PathLike[str] | None = None,
    *,
    progress: Progress = silent,
) -> Path:
    """Export the best checkpoint of a run to one sealed `.onnx` file.

    Args:
        run: a run, or its folder.
        out: the model file to write; None for `model.onnx` in the run folder.
        progress: reports the validation photos evaluated.

    Returns:
        The model file.

    Raises:
        UsageError: the folder holds no trained run.
        ModelFileError: its checkpoint is damaged.
        RecycleNetError: ONNX Runtime and PyTorch disagree; nothing is written.
    """
    run = run if isinstance(run, Run) else Run(Path(run))
    target = run.model if out is None else Path(out)
    export_run(run, target, progress)
    return target
