"""`recyclenet data scan`: a manifest of whatever lies in a folder."""

from __future__ import annotations

import typer

from recyclenet.cli.data.common import DryRunOption, OutOption, SourceArgument
from recyclenet.cli.options import JsonOption


def scan(
    dataset: SourceArgument,
    out: OutOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Read every photo once: size, bytes, digest, date, perceptual hash, groups of copies.

    Exit code 3: some photos cannot be read; they are named and left out.
    """
    import json

    from recyclenet.cli.data.common import say_problems, scanned, write
    from recyclenet.errors import EXIT_PARTIAL

    found = scanned(dataset)
    say_problems(found)
    manifest = found.manifest
    groups = {sample.group for sample in manifest if sample.group}
    if as_json:
        row = {
            "num_photos": len(manifest),
            "num_left_out": len(found.problems),
            "num_groups": len(groups),
            "classes": manifest.counts,
        }
        typer.echo(json.dumps(row, ensure_ascii=False))
    else:
        typer.echo(
            f"{len(manifest)} photos of {len(manifest.class_names)} classes; "
            f"{sum(bool(s.group) for s in manifest)} of them in {len(groups)} groups of copies; "
            f"{len(found.problems)} left out"
        )
    write(manifest, out, dry_run, dataset)
    if found.problems:
        raise typer.Exit(EXIT_PARTIAL)
