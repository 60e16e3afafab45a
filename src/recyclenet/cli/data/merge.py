"""`recyclenet data merge`: several data sets as one manifest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recyclenet.cli.command import Reads
from recyclenet.cli.data.common import DryRunOption, OutOption
from recyclenet.cli.options import ForceOption, MapOption, source_files
from recyclenet.cli.output import say

if TYPE_CHECKING:
    from recyclenet.data.manifest import Manifest
    from recyclenet.data.quality.scan import Scan


def merge(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Folders or manifests; NAME becomes the domain, by default the folder's name.",
            metavar="[NAME=]DATASET...",
        ),
        Reads(source_files),
    ],
    out: OutOption = None,
    maps: MapOption = None,
    dry_run: DryRunOption = False,
    force: ForceOption = False,
) -> None:
    """Merge data sets into one manifest with a column for the domain.

    Copies of one photo in several data sets share a group, so no split separates them. Exit code 3:
    unreadable photos were left out; stderr names them.
    """
    from recyclenet.cli.data.common import say_problems, scanned, write
    from recyclenet.data.label_map import parse_maps
    from recyclenet.data.merge import load_sources
    from recyclenet.data.merge import merge as operation
    from recyclenet.errors import EXIT_PARTIAL

    label_maps = parse_maps(maps or ())
    scans: list[Scan] = []

    def load(path: Path) -> Manifest:
        scans.append(scanned(path))
        say_problems(scans[-1])
        return scans[-1].manifest

    merged = operation(load_sources(sources, load), label_maps)
    for note in merged.notes():
        say(note, err=True)
    _print_counts(merged.manifest)
    write(merged.manifest, out, dry_run)
    if any(scan.problems for scan in scans):
        raise typer.Exit(EXIT_PARTIAL)


def _print_counts(manifest: Manifest) -> None:
    from collections import Counter

    from recyclenet.cli.rows import print_columns

    counts = Counter((sample.label, sample.domain) for sample in manifest)
    domains = manifest.domains
    rows = [
        (label, *(str(counts[label, domain]) for domain in domains), str(total))
        for label, total in manifest.counts.items()
    ]
    sums = [str(sum(counts[label, d] for label in manifest.counts)) for d in domains]
    print_columns(("class", *domains, "all"), [*rows, ("all", *sums, str(len(manifest)))])
