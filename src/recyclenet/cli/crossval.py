"""`recyclenet crossval`: k-fold cross-validation of a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recyclenet.cli.command import Writes
from recyclenet.cli.options import DataOption, ForceOption, RecipeOption, SettingsOption
from recyclenet.cli.output import say, say_written
from recyclenet.core.outputs import FOLDS, PREDICTIONS, Folder


def crossval(
    data: DataOption,
    out: Annotated[
        Path,
        typer.Option("--out", help="Folder for the runs and tables."),
        Writes(Folder(lambda: {"folds.csv": FOLDS, "predictions.csv": PREDICTIONS})),
    ],
    folds: Annotated[int, typer.Option("--folds", min=2, help="Number of folds.")] = 5,
    recipe: RecipeOption = "default",
    settings: SettingsOption = None,
    force: ForceOption = False,
) -> None:
    """Cross-validate a recipe: train it once per fold, without the test photos.

    To continue after an interruption, run the same command again.
    """
    from recyclenet.core.extras import require_train

    require_train("cross-validation")
    from recyclenet.cli.options import read_settings
    from recyclenet.cli.progress import counting
    from recyclenet.cli.rows import print_columns
    from recyclenet.operations.crossval import crossval as operation

    with counting("cross-validation") as progress:
        result = operation(
            data,
            out,
            recipe,
            num_folds=folds,
            settings=read_settings(settings),
            progress=progress,
            force=force,
        )
    print_columns(
        ("fold", "photos", "accuracy", "nll"),
        [
            (str(fold.fold), str(fold.num_photos), f"{fold.accuracy:.2%}", f"{fold.nll:.3f}")
            for fold in result.folds
        ],
    )
    low, high = result.interval
    say(f"mean {result.accuracy:.2%} (95% interval over folds: {low:.2%} to {high:.2%})")
    say_written(f"folds.csv and predictions.csv in {out}")
