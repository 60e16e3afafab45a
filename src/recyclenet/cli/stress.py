"""`recyclenet stress`: the accuracy of a model on changed photos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recyclenet.cli.command import Reads, Writes
from recyclenet.cli.options import (
    DataOption,
    ForceOption,
    JsonOption,
    MapOption,
    MaxMegapixelsOption,
    ModelOption,
    SplitOption,
    picture_files,
    source_files,
)
from recyclenet.cli.output import LeftOutInputs, finish, say, say_written
from recyclenet.core.outputs import PAGE

if TYPE_CHECKING:
    from recyclenet.operations.stress import StressedSet


def stress(
    data: DataOption,
    split: SplitOption = None,
    also: Annotated[
        str | None,
        typer.Option(
            "--also", metavar="[NAME=]DATASET", help="A second dataset, such as another source."
        ),
        Reads(lambda source: source_files([source])),
    ] = None,
    maps: MapOption = None,
    model: ModelOption = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help="Maximum number of photos, evenly spaced."),
    ] = None,
    backgrounds: Annotated[
        list[str] | None,
        typer.Option(
            "--backgrounds",
            metavar="PATH",
            help="Photos to put objects on, or a folder of them; default: generated backgrounds.",
        ),
        Reads(picture_files),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Seed of the random places and directions.")
    ] = 0,
    report: Annotated[
        Path | None,
        typer.Option("--report", help="Write an HTML page with an example of each change."),
        Writes(PAGE),
    ] = None,
    as_json: JsonOption = False,
    force: ForceOption = False,
    max_megapixels: MaxMegapixelsOption = 50,
) -> None:
    """Measure a model on photos that are turned, covered, blurred, on other backgrounds, ..."""
    from functools import partial

    from recyclenet.cli.progress import counting
    from recyclenet.cli.rows import print_row
    from recyclenet.data.dataset import dataset_name, load_dataset
    from recyclenet.data.label_map import parse_maps
    from recyclenet.data.merge import load_sources, parse_source
    from recyclenet.inference.classifier import Classifier
    from recyclenet.operations.stress import stress as operation

    label_maps = parse_maps(maps or ())
    classifier = Classifier(model, max_pixels=int(max_megapixels * 1e6))
    left_out = LeftOutInputs()
    load = partial(load_dataset, left_out=left_out)
    dataset, names = load(data), [dataset_name(data)]
    other = None
    if also is not None:
        name, path = parse_source(also)
        names.append(name or dataset_name(path))
        (other,) = load_sources([also], load)
    with counting("stressing") as progress:
        result = operation(
            dataset,
            classifier,
            split=split,
            also=other,
            maps=label_maps,
            limit=limit,
            backgrounds=backgrounds or (),
            seed=seed,
            names=names,
            left_out=left_out,
            progress=progress,
        )
    problems = [problem for found in result.sets for problem in found.problems]
    for problem in problems:
        say(f"error: {problem}", err=True)
    if report is not None:
        result.write_page(report)
        say_written(report)
    if as_json:
        print_row({"data": str(data), "also": also, **result.to_row()})
    else:
        for number, found in enumerate(result.sets):
            if number:
                say()
            describe(found)
    num_answered = sum(found.num_photos for found in result.sets)
    finish(len(problems), len(problems) + num_answered, left_out)


def describe(found: StressedSet) -> None:
    """Print the results on one dataset as a table."""
    from recyclenet.cli.rows import print_columns

    low, high = found.interval
    say(
        f"{found.name}, {found.split}: {found.num_photos} photos, untouched {found.accuracy:.1%} "
        f"(95%: {low:.1%} to {high:.1%})"
    )
    rows = []
    for change, strengths in found.by_change:
        for number, row in enumerate(strengths):
            low, high = row.interval
            rows.append(
                (
                    "" if number else change.name,
                    row.strength,
                    f"{row.accuracy:.1%}",
                    f"{low:.1%} to {high:.1%}",
                    f"{100 * row.paired.difference:+.1f}",
                )
            )
    print_columns(("change", "strength", "accuracy", "95% interval", "points"), rows, num_words=2)
    if found.uncut:
        say(found.uncut)
