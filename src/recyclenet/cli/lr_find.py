"""`recyclenet lr-find`: which learning rate to train with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recyclenet.cli.options import DataOption, JsonOption, RecipeOption, SettingsOption
from recyclenet.cli.output import make_console, say


def lr_find(
    data: DataOption,
    recipe: RecipeOption = "default",
    settings: SettingsOption = None,
    steps: Annotated[int, typer.Option("--steps", min=20, help="Steps of the sweep.")] = 100,
    out: Annotated[Path, typer.Option("--out", help="The picture to write.")] = Path("lr-find.png"),
    as_json: JsonOption = False,
) -> None:
    """Sweep the learning rate, draw the loss, and suggest where to train."""
    from recyclenet.cli.extras import require_train

    require_train("the learning-rate finder")
    from dataclasses import asdict

    from recyclenet.cli.rows import print_row
    from recyclenet.data.scan import load_dataset
    from recyclenet.training.fit import prepare, usable
    from recyclenet.training.lr_finder import draw_sweep, find_rates
    from recyclenet.training.recipe import load_recipe

    console = make_console()
    resolved = load_recipe(recipe, settings or ())
    # One view of each photo is enough for a sweep.
    fit = resolved.fit.model_copy(update={"cached_views": min(1, resolved.fit.cached_views)})
    resolved = resolved.model_copy(update={"fit": fit})
    manifest = usable(load_dataset(data), resolved, console)
    ready = prepare(manifest, resolved, console)
    sweep = find_rates(ready.module, ready.train, resolved, console, num_steps=steps)
    draw_sweep(sweep, out)
    if as_json:
        print_row({**asdict(sweep), "picture": str(out)})
        return
    say(f"valley {sweep.valley:.2e}, steepest {sweep.steepest:.2e}; drawn in {out}")
    say(f"train with: --set optim.learning_rate={sweep.valley:.1e}")
