"""`recyclenet train`: train a classifier on labelled photos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recyclenet.cli.command import Reads, Writes
from recyclenet.cli.options import (
    ForceOption,
    MapOption,
    RecipeOption,
    SettingsOption,
    SourcesOptionOrNone,
)
from recyclenet.cli.output import say
from recyclenet.core.outputs import EPOCHS, MANIFEST, MODEL, RECIPE, Folder
from recyclenet.errors import UsageError

RESUMED = Folder(lambda: {"metrics.csv": EPOCHS, "model.onnx": MODEL})
RUN = Folder(lambda: {**RESUMED.files(), "manifest.csv": MANIFEST, "recipe.toml": RECIPE})


def train(
    data: SourcesOptionOrNone = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="The run folder to create."), Writes(RUN)
    ] = None,
    maps: MapOption = None,
    recipe: RecipeOption = "default",
    settings: SettingsOption = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Same as fit.seed.")] = None,
    devices: Annotated[
        str | None,
        typer.Option("--devices", help="Number of devices, or GPU numbers: 2, or 0,1."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option("--resume", help="Continue an interrupted run."),
        Reads(),
        Writes(RESUMED),
    ] = None,
    force: ForceOption = False,
) -> None:
    """Train a classifier and export it to RUN/model.onnx."""
    from recyclenet.core.extras import require_train

    require_train("training")
    from recyclenet.cli.options import read_settings
    from recyclenet.cli.progress import counting
    from recyclenet.data.merge import read_sources
    from recyclenet.operations import train as operation
    from recyclenet.training.machine import process_rank

    # In distributed training, only rank 0 prints.
    is_main = process_rank() == 0
    with counting("training", quiet=not is_main) as progress:
        if resume is not None:
            if data or maps or out is not None or settings or seed is not None:
                raise UsageError(
                    "--resume takes all settings from the run folder; omit "
                    "--data, --map, --out, --set and --seed"
                )
            run = operation.resume(resume, devices=devices, progress=progress)
        else:
            if not data or out is None:
                raise UsageError(
                    "a new run needs --data and --out; to continue a run, give --resume"
                )
            run = operation.train(
                read_sources(data, maps or ()),
                out,
                recipe,
                settings=read_settings(settings),
                seed=seed,
                devices=devices,
                progress=progress,
                force=force,
            )
    if is_main:
        say(f"{run.model}: validation accuracy {run.info.metrics['accuracy']:.2%}")
