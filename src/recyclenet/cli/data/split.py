"""`recyclenet data split` and `check-leaks`: no photo in two splits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recyclenet.cli.command import Reads
from recyclenet.cli.data.common import DryRunOption, OutOption, SeedOption, SourceArgument
from recyclenet.cli.options import ForceOption, JsonOption
from recyclenet.cli.output import say

if TYPE_CHECKING:
    from recyclenet.data.manifest import Manifest


def split(
    context: typer.Context,
    dataset: SourceArgument,
    out: OutOption = None,
    ratios: Annotated[
        str, typer.Option("--ratios", help="Shares of train, val and test, such as 70/13/17.")
    ] = "70/13/17",
    lists: Annotated[
        list[str] | None,
        typer.Option("--list", help="SPLIT=FILE: read a split from a file with one name per line."),
        Reads(lambda lists: [Path(text.partition("=")[2]) for text in lists]),
    ] = None,
    redraw: Annotated[bool, typer.Option("--redraw", help="Ignore existing splits.")] = False,
    legacy: Annotated[
        bool,
        typer.Option(
            "--legacy",
            help="Split like the 55-class report: the first files of each class train.",
        ),
    ] = False,
    seed: SeedOption = 0,
    dry_run: DryRunOption = False,
    force: ForceOption = False,
) -> None:
    """Split photos by domain and class into train, val, test, keeping groups of copies together.

    Photos keep a split that they already have. Exit code 3: unreadable photos were left out; stderr
    names them.
    """
    from dataclasses import replace

    from recyclenet.cli.data.common import (
        exit_if_partial,
        refuse_unused,
        say_problems,
        scanned,
        write,
    )
    from recyclenet.data.manifest import Manifest
    from recyclenet.data.splits.split import (
        fill_splits,
        find_leaks,
        legacy_splits,
        listed_splits,
        parse_ratios,
        read_lists,
    )

    if lists:
        refuse_unused(context, ("ratios", "legacy", "redraw", "seed"), "with --list")
    if legacy:
        refuse_unused(context, ("redraw", "seed"), "with --legacy")
    shares = parse_ratios(ratios)
    found = scanned(dataset)
    say_problems(found)
    manifest = found.manifest
    if redraw or legacy or lists:
        manifest = Manifest(tuple(replace(sample, split="") for sample in manifest))
    if lists:
        manifest = listed_splits(manifest, read_lists(lists))
    elif legacy:
        manifest = legacy_splits(manifest, shares[0])
    else:
        manifest = fill_splits(manifest, shares, seed)
    leaks = find_leaks(manifest)
    if leaks:
        say(
            f"warning: {len(leaks)} pairs of photos of one group are in different splits, "
            f"so a model would be tested on photos it has seen; for example "
            f"{leaks[0][0].path} and {leaks[0][1].path}",
            err=True,
        )
    _print_counts(manifest)
    write(manifest, out, dry_run)
    exit_if_partial(found)


def check_leaks(dataset: SourceArgument, as_json: JsonOption = False) -> None:
    """Find copies, and photos of one group, that are in different splits.

    Exit code 1: there are some; 3: there are none, but some photos cannot be read.
    """
    from recyclenet.cli.data.common import exit_if_partial, say_problems, scanned
    from recyclenet.cli.rows import print_row
    from recyclenet.core.text import show_path
    from recyclenet.data.splits.split import find_leaks
    from recyclenet.errors import EXIT_FAILURE, UsageError

    found = scanned(dataset)
    say_problems(found)
    if not found.manifest.has_splits:
        raise UsageError(
            f"{dataset} has no splits to check; create them with: recyclenet data split"
        )
    leaks = find_leaks(found.manifest)
    for one, other in leaks:
        if as_json:
            print_row(
                {
                    "paths": [str(one.path), str(other.path)],
                    "splits": [one.split, other.split],
                    "labels": [one.label, other.label],
                }
            )
        else:
            say(f"{one.split}: {show_path(one.path)}\t{other.split}: {show_path(other.path)}")
    say(f"{len(leaks)} pairs of photos of one group are in different splits", err=True)
    if leaks:
        raise typer.Exit(EXIT_FAILURE)
    exit_if_partial(found)


def _print_counts(manifest: Manifest) -> None:
    from collections import Counter

    from recyclenet.cli.rows import print_columns
    from recyclenet.data.manifest import SPLITS

    counts = Counter((sample.label, sample.split) for sample in manifest)
    rows = [
        (label, *(str(counts[label, split]) for split in SPLITS)) for label in manifest.class_names
    ]
    sums = [str(sum(s.split == split for s in manifest)) for split in SPLITS]
    print_columns(("class", *SPLITS), [*rows, ("all", *sums)])
