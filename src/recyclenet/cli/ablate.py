"""`recyclenet ablate`: the effect of each training choice."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recyclenet.cli.command import Reads, Writes
from recyclenet.cli.options import DataOption, ForceOption
from recyclenet.cli.output import say_written
from recyclenet.core.outputs import ABLATION, ABLATION_TEXT, PICTURE, Folder


def ablate(
    file: Annotated[
        Path,
        typer.Argument(help="TOML file with recipe, seeds and factors; see docs/ablate.md."),
        Reads(),
    ],
    data: DataOption,
    out: Annotated[
        Path,
        typer.Option("--out", help="Folder for the runs and tables."),
        Writes(
            Folder(
                lambda: {
                    "ablation.csv": ABLATION,
                    "ablation.md": ABLATION_TEXT,
                    "ablation.png": PICTURE,
                }
            )
        ),
    ],
    force: ForceOption = False,
) -> None:
    """Train every combination of factors over several seeds, and compare them.

    To continue after an interruption, run the same command again.
    """
    from recyclenet.core.extras import require_train

    require_train("ablations")
    from recyclenet.cli.progress import counting
    from recyclenet.cli.rows import print_columns
    from recyclenet.experiments.ablation import cells
    from recyclenet.operations.ablate import ablate as operation

    with counting("ablation") as progress:
        rows = operation(file, data, out, progress=progress, force=force)
    titles = ("variant", "accuracy", "95% interval", "difference", "p", "M params", "ms")
    print_columns(titles, [cells(row) for row in rows])
    say_written(f"ablation.csv, ablation.md and ablation.png in {out}")
