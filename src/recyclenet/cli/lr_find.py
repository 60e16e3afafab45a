"""`recyclenet lr-find`: the learning-rate range test."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recyclenet.cli.command import Writes
from recyclenet.cli.options import (
    DataOption,
    ForceOption,
    JsonOption,
    RecipeOption,
    SettingsOption,
)
from recyclenet.cli.output import say
from recyclenet.core.outputs import PICTURE


def lr_find(
    data: DataOption,
    recipe: RecipeOption = "default",
    settings: SettingsOption = None,
    steps: Annotated[
        int, typer.Option("--steps", min=20, max=100_000, help="Number of steps.")
    ] = 100,
    out: Annotated[
        Path, typer.Option("--out", help="The plot (.png) to write."), Writes(PICTURE)
    ] = Path("lr-find.png"),
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Sweep the learning rate, plot the loss, and suggest a learning rate."""
    from recyclenet.core.extras import require_train

    require_train("the learning-rate finder")
    from dataclasses import asdict

    from recyclenet.cli.options import read_settings
    from recyclenet.cli.progress import counting
    from recyclenet.cli.rows import print_row
    from recyclenet.operations.lr_find import lr_find as operation
    from recyclenet.training.lr_finder import draw_sweep

    with counting("sweeping") as progress:
        sweep = operation(
            data, recipe, settings=read_settings(settings), num_steps=steps, progress=progress
        )
    draw_sweep(sweep, out)
    if as_json:
        print_row({**asdict(sweep), "picture": str(out)})
        return
    say(f"valley {sweep.valley:.2e}, steepest {sweep.steepest:.2e}; plot in {out}")
    say(f"train with: --set optim.learning_rate={sweep.valley:.1e}")
