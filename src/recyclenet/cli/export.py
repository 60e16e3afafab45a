"""`recyclenet export`: convert a run folder to one sealed model file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recyclenet.cli.command import Reads, Writes
from recyclenet.cli.options import ForceOption, NegativesOption, run_files
from recyclenet.cli.output import say, say_left_out
from recyclenet.core.outputs import MODEL


def export(
    run: Annotated[
        Path, typer.Argument(help="A run folder made by `recyclenet train`."), Reads(run_files)
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The model file; default: RUN/model.onnx."),
        Writes(MODEL, default=lambda values: Path(values["run"]) / "model.onnx"),
    ] = None,
    negatives: NegativesOption = None,
    force: ForceOption = False,
) -> None:
    """Export the best checkpoint of a run, checked against PyTorch on real photos."""
    from recyclenet.core.extras import require_train

    require_train("export")
    from recyclenet.cli.progress import counting
    from recyclenet.inference.classifier import Classifier
    from recyclenet.operations.export import export as operation

    with counting("exporting") as progress:
        target = operation(
            run, out, negatives=negatives or (), left_out=say_left_out, progress=progress
        )
    info = Classifier(target).info
    say(
        f"{target}: {len(info.class_names)} classes, {target.stat().st_size / 1e6:.1f} MB, "
        f"validation accuracy {info.metrics['accuracy']:.2%}"
    )
