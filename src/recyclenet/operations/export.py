"""Exporting a trained run to a model file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from recyclenet.core.progress import Progress, silent
from recyclenet.data.folders import LeftOut
from recyclenet.data.pictures import find_photos
from recyclenet.exporting.onnx import export_run
from recyclenet.training.run import Run


def export(
    run: str | os.PathLike[str] | Run,
    out: str | os.PathLike[str] | None = None,
    *,
    negatives: Sequence[str | os.PathLike[str]] = (),
    left_out: LeftOut = lambda _: None,
    progress: Progress = silent,
) -> Path:
    """Export the best checkpoint of a run to one sealed `.onnx` file.

    Args:
        run: a run, or its folder.
        out: the model file to write; None for `model.onnx` in the run folder.
        negatives: photos of things that are none of the classes, or folders of them. With them,
            the model file gets an unknown score, so that it can say "none of these".
        left_out: is called with one line for each folder or file that is not searched.
        progress: reports the validation photos evaluated.

    Returns:
        The model file.

    Raises:
        UsageError: the folder holds no trained run, or there are no such negatives.
        DataError: there are too few negatives, or too few of them can be read.
        ModelFileError: its checkpoint is damaged.
        RecycleNetError: ONNX Runtime and PyTorch disagree; nothing is written.
    """
    run = run if isinstance(run, Run) else Run(Path(run))
    target = run.model if out is None else Path(out)
    export_run(run, target, progress, find_photos(negatives, "photos of other things", left_out))
    return target
