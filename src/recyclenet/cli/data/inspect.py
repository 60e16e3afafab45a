"""`recyclenet data inspect`: a summary of a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recyclenet.cli.command import Writes
from recyclenet.cli.data.common import SourceArgument
from recyclenet.cli.options import ForceOption, JsonOption
from recyclenet.cli.output import say, say_written
from recyclenet.core.outputs import PAGE


def inspect(
    dataset: SourceArgument,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The page (.html) to write."),
        Writes(PAGE),
    ] = None,
    as_json: JsonOption = False,
    force: ForceOption = False,
) -> None:
    """Summarise classes, sizes and colours; with --out, as a page with plots.

    Exit code 3: unreadable photos were left out; stderr names them.
    """
    from recyclenet.cli.data.common import exit_if_partial, say_problems, scanned
    from recyclenet.cli.progress import counting
    from recyclenet.cli.rows import print_columns, print_row
    from recyclenet.data.quality.inspect import measure

    found = scanned(dataset)
    say_problems(found)
    manifest = found.manifest
    with counting("counting pixels") as progress:
        statistics = measure(manifest, progress)
    if as_json:
        print_row(
            {
                "num_photos": len(manifest),
                "num_left_out": len(found.problems),
                "classes": manifest.counts,
                "num_pixels": statistics.num_pixels,
                "mean": statistics.mean,
                "std": statistics.std,
            }
        )
    else:
        counts = [(name, str(count)) for name, count in manifest.counts.items()]
        print_columns(("class", "photos"), [*counts, ("all", str(len(manifest)))])
        for name in ("mean", "std"):
            values = ", ".join(f"{value:.4f}" for value in getattr(statistics, name))
            say(f"{name} of red, green, blue: {values}")
    if out is not None:
        from recyclenet.core.files import write_text
        from recyclenet.data.quality.plots import inspection_page

        page = inspection_page(manifest, statistics, dataset.stem, len(found.problems))
        write_text(out, page)
        say_written(out)
    exit_if_partial(found)
