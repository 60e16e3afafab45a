"""`recyclenet teach`: a new class, or a correction, from about ten photos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recyclenet.cli.command import Writes
from recyclenet.cli.options import (
    ForceOption,
    JsonOption,
    MaxMegapixelsOption,
    ModelOption,
    PhotosArgument,
)
from recyclenet.cli.output import LeftOutInputs, finish, say, say_written
from recyclenet.core.outputs import MODEL

if TYPE_CHECKING:
    from recyclenet.evaluation.teaching import Teaching


def teach(
    paths: PhotosArgument,
    label: Annotated[str, typer.Option("--label", help="A new class, or one of the model's.")],
    out: Annotated[Path, typer.Option("--out", help="The model file to write."), Writes(MODEL)],
    as_json: JsonOption = False,
    model: ModelOption = None,
    stream: Annotated[
        str | None,
        typer.Option(
            "--stream",
            help="Stream of a new class: recyclable, kitchen, hazardous or other; default: as in "
            "the taxonomies.",
        ),
    ] = None,
    max_lost: Annotated[
        float,
        typer.Option(
            "--max-lost",
            min=0,
            max=0.5,
            help="Largest share of other classes' photos that the class may take.",
        ),
    ] = 0.01,
    force: ForceOption = False,
    max_megapixels: MaxMegapixelsOption = 50,
) -> None:
    """Teach a model a new class, or correct it, from about ten photos, in seconds."""
    from recyclenet.cli.progress import counting
    from recyclenet.cli.rows import print_row
    from recyclenet.operations.teach import teach as operation

    left_out = LeftOutInputs()
    with counting("teaching") as progress:
        result = operation(
            paths,
            label,
            model,
            stream=stream,
            max_lost=max_lost,
            max_pixels=int(max_megapixels * 1e6),
            left_out=left_out,
            progress=progress,
        )
    for problem in result.problems:
        say(f"error: {problem}", err=True)
    result.write(out)
    say_written(out)
    if as_json:
        print_row(result.to_row())
    else:
        describe(result)
    if result.warning is not None:
        say(f"warning: {result.warning}", err=True)
    finish(len(result.problems), result.num_photos + len(result.problems), left_out)


def describe(result: Teaching) -> None:
    """Print what the model has learned and forgotten."""
    from recyclenet.cli.rows import print_columns

    kind = "a new class" if result.is_new else "corrected"
    low, high = result.interval
    say(f"{result.label} ({kind}, {result.info.streams[result.label]}), {result.num_photos} photos")
    say(f"recall, each photo left out once: {result.recall:.0%} ({low:.0%} to {high:.0%})")
    if not result.is_new:
        say(f"recall on these photos before: {result.recall_before:.0%}")
    if result.accuracy is not None and result.accuracy_before is not None:
        say(
            f"accuracy on {result.num_held_out} held-out photos of the old classes: "
            f"{result.accuracy_before:.1%} before, {result.accuracy:.1%} now"
        )
    say()
    print_columns(
        ("photos", "recall"), [(str(size), f"{recall:.0%}") for size, recall in result.curve]
    )
    say(result.advice)
    if result.classes:
        say()
        rows = [(name, f"{b:.0%}", f"{now:.0%}") for name, (b, now) in result.classes.items()]
        print_columns(("class", "recall before", "now"), rows)
