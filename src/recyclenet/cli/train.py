"""`recyclenet train`: from labelled photos to a run folder with a model file in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recyclenet.cli.options import DataOptionOrNone, RecipeOption, SettingsOption
from recyclenet.cli.output import make_console, say
from recyclenet.errors import UsageError


def train(
    data: DataOptionOrNone = None,
    out: Annotated[Path | None, typer.Option("--out", help="The run folder to make.")] = None,
    recipe: RecipeOption = "default",
    settings: SettingsOption = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Same as fit.seed.")] = None,
    devices: Annotated[
        str | None,
        typer.Option(
            "--devices", help="How many devices train together, or which GPUs: 2, or 0,1."
        ),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", help="Continue the interrupted run in this folder.")
    ] = None,
) -> None:
    """Train a classifier, then export it to RUN/model.onnx."""
    from recyclenet.cli.extras import require_train

    require_train("training")
    from recyclenet.data.manifest import read_manifest
    from recyclenet.data.scan import load_dataset
    from recyclenet.export.onnx import export_run
    from recyclenet.training.fit import MANIFEST, resume_run, start_run
    from recyclenet.training.machine import find_devices, process_rank
    from recyclenet.training.recipe import load_recipe

    chosen = find_devices(devices)
    # Of several processes that train together, one speaks and writes.
    console = make_console(quiet=process_rank() > 0)
    if resume is not None:
        if data is not None or out is not None or settings or seed is not None:
            raise UsageError("--resume takes everything from the run folder; give no other options")
        resume_run(read_manifest(resume / MANIFEST), resume, console, chosen)
        run = resume
    else:
        if data is None or out is None:
            raise UsageError("a new run needs --data and --out (or continue one with --resume)")
        overrides = [*(settings or ()), *([] if seed is None else [f"fit.seed={seed}"])]
        start_run(load_dataset(data), load_recipe(recipe, overrides), out, console, chosen)
        run = out
    if process_rank() > 0:
        return
    info = export_run(run, run / "model.onnx")
    say(f"{run / 'model.onnx'}: validation accuracy {info.metrics['accuracy']:.2%}")
