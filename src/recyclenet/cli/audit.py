"""`recyclenet audit`: the share of each material in many photos."""

from __future__ import annotations

from collections.abc import Iterable
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
    RulesOption,
)
from recyclenet.cli.output import LeftOutInputs, finish, say, say_written
from recyclenet.core.outputs import PAGE

if TYPE_CHECKING:
    from recyclenet.operations.audit import Material


def audit(
    paths: PhotosArgument,
    as_json: JsonOption = False,
    model: ModelOption = None,
    rules: RulesOption = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", help="Write an HTML page with the shares as bars."),
        Writes(PAGE),
    ] = None,
    force: ForceOption = False,
    max_megapixels: MaxMegapixelsOption = 50,
) -> None:
    """Estimate the share of each class and bin in many photos, corrected for confusions."""
    from recyclenet.cli.progress import counting
    from recyclenet.cli.rows import print_columns, print_row
    from recyclenet.inference.classifier import Classifier
    from recyclenet.operations.audit import audit as operation

    classifier = Classifier(model, max_pixels=int(max_megapixels * 1e6), rules=rules)
    left_out = LeftOutInputs()
    with counting("auditing") as progress:
        result = operation(paths, classifier, left_out=left_out, progress=progress)
    for problem in result.problems:
        say(f"error: {problem}", err=True)
    if report is not None:
        result.write_page(report)
        say_written(report)
    if as_json:
        print_row(result.to_row())
    else:
        titles = ("photos", "counted", "corrected", "95% interval")
        print_columns(("class", *titles), rows(result.classes))
        say()
        print_columns(("bin", *titles), rows(result.bins))
    if result.warning is not None:
        say(f"warning: {result.warning}", err=True)
    num_unanswered = len(result.problems)
    finish(num_unanswered, result.num_photos + num_unanswered, left_out)


def rows(materials: Iterable[Material]) -> list[tuple[str, ...]]:
    """Return one row of text for each class or bin."""
    return [
        (
            material.name,
            str(material.num_photos),
            f"{material.naive:.1%}",
            f"{material.share:.1%}",
            f"{material.interval[0]:.1%} to {material.interval[1]:.1%}",
        )
        for material in materials
    ]
