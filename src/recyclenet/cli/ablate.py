"""`recyclenet ablate`: what each part of a training is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recyclenet.cli.options import DataOption
from recyclenet.cli.output import make_console, say


def ablate(
    file: Annotated[Path, typer.Argument(help="TOML: recipe, seeds, factors; see docs/ablate.md.")],
    data: DataOption,
    out: Annotated[Path, typer.Option("--out", help="Folder for the runs and the tables.")],
) -> None:
    """Train every combination of factors over several seeds, and compare.

    Interrupted? The same command continues: finished runs are not done again.
    """
    from recyclenet.cli.extras import require_train

    require_train("ablations")

    from recyclenet.benchmark.ablation import (
        cells,
        draw_ablation,
        load_ablation,
        run_ablation,
        write_ablation,
    )
    from recyclenet.cli.rows import print_columns
    from recyclenet.data.scan import load_dataset

    rows = run_ablation(load_ablation(file), load_dataset(data), out, make_console())
    write_ablation(rows, out)
    draw_ablation(rows, out / "ablation.png")
    titles = ("variant", "accuracy", "95% interval", "difference", "p", "M params", "ms")
    print_columns(titles, [cells(row) for row in rows])
    say(f"wrote ablation.csv, ablation.md and ablation.png in {out}")
