"""Options and functions shared by the commands that read and write manifests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recyclenet.cli.command import Reads, Writes
from recyclenet.cli.options import dataset_files
from recyclenet.cli.output import say, say_written
from recyclenet.core.outputs import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recyclenet.data.manifest import Manifest
    from recyclenet.data.quality.scan import Scan

SourceArgument = Annotated[
    Path,
    typer.Argument(help="Folder of class folders, or a CSV manifest.", metavar="DATASET"),
    Reads(dataset_files),
]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="The manifest (.csv) to write."), Writes(MANIFEST)
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be done, and write nothing.")
]
SeedOption = Annotated[int, typer.Option("--seed", help="Random seed.")]
NUM_NAMED = 10


def scanned(source: Path, *, once: bool = False) -> Scan:
    """Scan a dataset, or use its manifest if that is complete.

    Args:
        source: folder or manifest.
        once: skip rows that repeat a file, and photos that changed since the manifest was written.
    """
    from recyclenet.cli.progress import counting
    from recyclenet.core.extras import require_data
    from recyclenet.data.manifest import read_manifest
    from recyclenet.data.quality.scan import group_copies, scan_dataset, unchanged, without_repeats

    require_data("scanning photos")
    if source.suffix.lower() == ".csv" and os.path.isfile(source):  # noqa: PTH113
        manifest = read_manifest(source)
        if all(sample.phash for sample in manifest):
            if not once:
                return group_copies(manifest)
            manifest, repeats = without_repeats(manifest)
            with counting("comparing photos with the manifest") as progress:
                manifest, changed = unchanged(manifest, progress)
            return group_copies(manifest, [*repeats, *changed])
    with counting("reading photos") as progress:
        return scan_dataset(source, progress, once=once)


def refuse_unused(context: typer.Context, options: Iterable[str], why: str) -> None:
    """Refuse options that have no effect.

    Args:
        context: context of the command.
        options: names of the parameters.
        why: why they have no effect, such as "with --list".

    Raises:
        UsageError: one of the options was given.
    """
    from recyclenet.errors import UsageError

    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in options and source is not None and source.name == "COMMANDLINE":
            raise UsageError(f"{parameter.opts[0]} has no effect {why}; omit it")


def say_problems(scan: Scan) -> None:
    """Report on stderr what could not be read."""
    for problem in scan.problems[:NUM_NAMED]:
        say(f"left out: {problem.reason}", err=True)
    if len(scan.problems) > NUM_NAMED:
        say(f"left out: {len(scan.problems) - NUM_NAMED} more", err=True)


def exit_if_partial(scan: Scan) -> None:
    """Exit with code 3 if the scan left out photos."""
    from recyclenet.errors import EXIT_PARTIAL

    if scan.problems:
        raise typer.Exit(EXIT_PARTIAL)


def write(manifest: Manifest, out: Path | None, dry_run: bool) -> None:
    """Write a manifest and report it, except in a dry run.

    Raises:
        UsageError: `out` is missing.
    """
    from recyclenet.data.manifest import write_manifest
    from recyclenet.errors import UsageError

    if dry_run:
        return
    if out is None:
        raise UsageError("no output given; give --out MANIFEST.csv, or --dry-run")
    write_manifest(manifest, out)
    say_written(f"{len(manifest)} rows to {out}")
