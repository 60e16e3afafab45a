"""`recyclenet lodo`: leave one domain out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recyclenet.cli.command import Writes
from recyclenet.cli.options import (
    ForceOption,
    MapOption,
    RecipeOption,
    SettingsOption,
    SourcesOption,
)
from recyclenet.cli.output import say, say_written
from recyclenet.core.outputs import DOMAINS, PREDICTIONS, Folder

if TYPE_CHECKING:
    from recyclenet.operations.lodo import LeaveOneDomainOut


def lodo(
    data: SourcesOption,
    out: Annotated[
        Path,
        typer.Option("--out", help="Folder for the runs and tables."),
        Writes(Folder(lambda: {"folds.csv": DOMAINS, "predictions.csv": PREDICTIONS})),
    ],
    maps: MapOption = None,
    recipe: RecipeOption = "default",
    settings: SettingsOption = None,
    force: ForceOption = False,
) -> None:
    """Leave one domain out: train on all others, test on it, for each domain.

    This measures a recipe on photos from a source that the model has not seen. To continue after an
    interruption, run the same command again.
    """
    from recyclenet.core.extras import require_train

    require_train("leaving a domain out")
    from recyclenet.cli.options import read_settings
    from recyclenet.cli.progress import counting
    from recyclenet.data.merge import read_sources
    from recyclenet.operations.lodo import lodo as operation

    with counting("leaving a domain out") as progress:
        result = operation(
            read_sources(data, maps or ()),
            out,
            recipe,
            settings=read_settings(settings),
            progress=progress,
            force=force,
        )
    _print_folds(result)
    say_written(f"folds.csv and predictions.csv in {out}")


def _print_folds(result: LeaveOneDomainOut) -> None:
    from recyclenet.cli.rows import print_columns

    rows = [
        (
            fold.domain,
            str(fold.num_photos),
            f"{fold.accuracy:.2%}",
            f"{fold.balanced_accuracy:.2%}",
            f"{fold.nll:.3f}",
            f"{fold.ece:.1%}",
            f"{fold.refused:.1%}",
            _percent(fold.home_accuracy),
        )
        for fold in result.folds
    ]
    mean = (
        "mean",
        "",
        f"{result.mean('accuracy'):.2%}",
        f"{result.mean('balanced_accuracy'):.2%}",
        f"{result.mean('nll'):.3f}",
        f"{result.mean('ece'):.1%}",
        f"{result.mean('refused'):.1%}",
        _percent(result.mean("home_accuracy")),
    )
    titles = ("domain", "photos", "accuracy", "mean recall", "nll", "calibration error", "refused")
    print_columns((*titles, "at home"), [*rows, mean])
    for fold in result.folds:
        if fold.num_left_out:
            say(
                f"{fold.domain}: {fold.num_left_out} photos with labels that no training photo has "
                f"were not tested",
                err=True,
            )
        if fold.num_copies:
            say(
                f"{fold.domain}: {fold.num_copies} copies of its photos in other domains were left "
                f"out of the training",
                err=True,
            )


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.2%}"
