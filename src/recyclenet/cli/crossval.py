"""`recyclenet crossval`: how good a recipe is, judged on every photo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recyclenet.cli.options import DataOption, RecipeOption, SettingsOption
from recyclenet.cli.output import make_console, say


def crossval(
    data: DataOption,
    out: Annotated[Path, typer.Option("--out", help="Folder for the runs and the tables.")],
    folds: Annotated[int, typer.Option("--folds", min=2, help="Number of folds.")] = 5,
    recipe: RecipeOption = "default",
    settings: SettingsOption = None,
) -> None:
    """Train a recipe once a fold; test photos stay out.

    Interrupted? The same command continues: finished folds are not done again.
    """
    from recyclenet.cli.extras import require_train

    require_train("cross-validation")
    import numpy as np

    from recyclenet.benchmark.crossval import cross_validate
    from recyclenet.benchmark.runs import mean_interval
    from recyclenet.cli.rows import print_columns
    from recyclenet.data.scan import load_dataset
    from recyclenet.training.recipe import load_recipe

    resolved = load_recipe(recipe, settings or ())
    rows = cross_validate(load_dataset(data), resolved, folds, out, make_console())
    print_columns(
        ("fold", "photos", "accuracy", "nll"),
        [
            (str(row.fold), str(row.num_photos), f"{row.accuracy:.2%}", f"{row.nll:.3f}")
            for row in rows
        ],
    )
    accuracies = np.array([row.accuracy for row in rows])
    low, high = mean_interval(accuracies)
    say(f"mean {accuracies.mean():.2%} (95% over folds: {low:.2%} to {high:.2%})")
    say(f"wrote folds.csv and predictions.csv in {out}")
