"""`recyclenet data import-feedback`: feedback that users of `serve` gave, as a data set."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recyclenet.cli.command import Adds, Reads
from recyclenet.cli.options import JsonOption, ModelOption, dataset_files
from recyclenet.cli.output import say, say_written

if TYPE_CHECKING:
    from recyclenet.data.manifest import Manifest
    from recyclenet.operations.import_feedback import Feedback


def import_feedback(
    folder: Annotated[
        Path,
        typer.Argument(help="The folder of `recyclenet serve --feedback`.", metavar="FOLDER"),
        Reads(),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", help="New folder: photos by class, manifest.csv, review.html."),
        Adds(),
    ],
    model: ModelOption = None,
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", help="A dataset that may have the photos already; may be repeated."),
        Reads(lambda sources: chain.from_iterable(map(dataset_files, sources))),
    ] = None,
    new_class: Annotated[
        list[str] | None,
        typer.Option("--new-class", help="A label to accept as a new class; may be repeated."),
    ] = None,
    max_per_class: Annotated[
        int, typer.Option("--max-per-class", min=1, help="Maximum number of photos per class.")
    ] = 100,
    max_share: Annotated[
        float,
        typer.Option(
            "--max-share",
            min=0,
            max=0.9,
            help="Largest share of feedback among a class's photos, counting those of --data.",
        ),
    ] = 0.2,
    as_json: JsonOption = False,
) -> None:
    """Turn stored feedback into photos by class, with a manifest and a page to review them.

    Photos that --data has already are left out. Exit code 3: some records or photos are damaged.
    """
    from recyclenet.cli.progress import counting
    from recyclenet.cli.rows import print_row
    from recyclenet.core.extras import require_data
    from recyclenet.errors import EXIT_PARTIAL
    from recyclenet.operations.import_feedback import import_feedback as operation

    require_data("importing feedback")
    known = _known(data or ())
    with counting("reading feedback") as progress:
        result = operation(
            folder,
            out,
            model=model,
            known=known,
            new_classes=new_class or (),
            max_per_class=max_per_class,
            max_share=max_share,
            progress=progress,
        )
    _say_left_out(result)
    if as_json:
        print_row(result.to_row())
    else:
        _describe(result)
    page = out / "review.html"
    say_written(f"{len(result.manifest)} photos to {out}; review them in {shlex.quote(str(page))}")
    if result.counts["damaged"]:
        raise typer.Exit(EXIT_PARTIAL)


def _known(sources: Sequence[Path]) -> Manifest:
    """Return the photos of data sets, described."""
    from recyclenet.cli.data.common import say_problems, scanned
    from recyclenet.data.manifest import Manifest

    scans = [scanned(source) for source in sources]
    for scan in scans:
        say_problems(scan)
    return Manifest(tuple(sample for scan in scans for sample in scan.manifest))


def _say_left_out(result: Feedback) -> None:
    """Report on stderr what a person may want to look into."""
    from recyclenet.cli.data.common import NUM_NAMED

    for kind in ("damaged", "unknown label", "contradiction", "limit"):
        found = [outcome for outcome in result.outcomes if outcome.kind == kind]
        for outcome in found[:NUM_NAMED]:
            say(f"left out: {outcome.record.id}: {kind}: {outcome.reason}", err=True)
        if len(found) > NUM_NAMED:
            say(f"left out: {len(found) - NUM_NAMED} more: {kind}; see feedback.csv", err=True)
    if result.num_others:
        say(f"ignored: {result.num_others} files that are not feedback", err=True)


def _describe(result: Feedback) -> None:
    from recyclenet.cli.rows import print_columns
    from recyclenet.data.sources.feedback import OUTCOMES

    print_columns(
        ("records", "meaning", "number"),
        [(kind, OUTCOMES[kind], str(count)) for kind, count in result.counts.items() if count],
        num_words=2,
    )
    say()
    print_columns(("class", "photos"), [(k, str(n)) for k, n in result.manifest.counts.items()])
