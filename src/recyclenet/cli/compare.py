"""`recyclenet compare`: classifiers on the same photos, with a paired test."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recyclenet.cli.command import Reads, Writes
from recyclenet.cli.options import (
    DataOptionOrNone,
    ForceOption,
    JsonOption,
    MapOption,
    SplitOption,
    TtaOption,
    compared_files,
)
from recyclenet.cli.output import LeftOutInputs, finish, say, say_written
from recyclenet.core.outputs import PAGE

if TYPE_CHECKING:
    from recyclenet.operations.compare import Comparison


def compare(
    items: Annotated[
        list[Path],
        typer.Argument(
            metavar="ITEM...",
            help="Two or more run folders, model files or tables of predictions, or 'built-in'; "
            "the first is the baseline.",
        ),
        Reads(compared_files),
    ],
    data: DataOptionOrNone = None,
    split: SplitOption = None,
    as_json: JsonOption = False,
    tta: TtaOption = False,
    maps: MapOption = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", help="Write an HTML page with curves and the photos that differ."),
        Writes(PAGE),
    ] = None,
    force: ForceOption = False,
) -> None:
    """Compare classifiers on the same photos: difference, paired test, photos that differ."""
    from recyclenet.cli.progress import counting
    from recyclenet.cli.rows import print_row
    from recyclenet.data.dataset import load_dataset
    from recyclenet.data.label_map import parse_maps
    from recyclenet.errors import UsageError
    from recyclenet.operations.compare import compare as operation

    label_maps = parse_maps(maps or ())
    if data is None and (maps or split):
        raise UsageError("--map and --split select photos of a dataset; give --data")
    left_out = LeftOutInputs()
    dataset = None if data is None else load_dataset(data, left_out)
    with counting("comparing") as progress:
        result = operation(items, dataset, split=split, maps=label_maps, tta=tta, progress=progress)
    for problem in result.problems:
        say(f"error: {problem}", err=True)
    if num := result.photos.num_left_out:
        say(f"left out: {num} photos without an answer from every model", err=True)
    if report is not None:
        result.write_page(report)
        say_written(report)
    if as_json:
        print_row({"data": None if data is None else str(data), "tta": tta, **result.to_row()})
    else:
        describe(result)
    num_unanswered = len(result.problems)
    finish(num_unanswered, num_unanswered + len(result.photos.samples), left_out)


def describe(result: Comparison) -> None:
    """Print the figures for people."""
    from recyclenet.cli.rows import print_columns

    say(f"{len(result.photos.samples)} photos")
    rows = []
    for item in result.contenders:
        low, high = item.scores.interval
        rows.append(
            (
                item.name,
                f"{item.scores.accuracy:.2%}",
                f"{low:.1%} to {high:.1%}",
                f"{item.scores.balanced_accuracy:.2%}",
            )
        )
    print_columns(("", "accuracy", "95% interval", "mean recall"), rows)
    baseline = result.contenders[0].name
    for difference in result.differences:
        paired, name = difference.paired, difference.other.name
        low, high = (100 * bound for bound in paired.interval)
        say()
        say(
            f"{name} against {baseline}: {100 * paired.difference:+.2f} points "
            f"(95%: {low:+.1f} to {high:+.1f}), McNemar's exact test p = {paired.p_value:.3g}"
        )
        say(
            f"right: both {paired.num_both}, only {baseline} {paired.num_first}, "
            f"only {name} {paired.num_second}, neither {paired.num_neither}"
        )
        if paired.warning:
            say(paired.warning)
