"""`recyclenet data scan`: write a manifest that describes every photo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from recyclenet.cli.data.common import DryRunOption, OutOption, SourceArgument
from recyclenet.cli.options import ForceOption, JsonOption
from recyclenet.cli.output import say

if TYPE_CHECKING:
    from recyclenet.data.manifest import Manifest


def scan(
    context: typer.Context,
    dataset: SourceArgument,
    out: OutOption = None,
    objects: Annotated[
        bool, typer.Option("--objects", help="Also group photos that show the same object.")
    ] = False,
    min_similarity: Annotated[
        float,
        typer.Option(
            "--min-similarity",
            help="Minimum cosine similarity of photos of one object.",
            min=0,
            max=1,
        ),
    ] = 0.75,
    dry_run: DryRunOption = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Describe every photo: size, digest, date, perceptual hash, and groups of copies.

    Exit code 3: unreadable photos were left out; stderr names them.
    """
    from recyclenet.cli.data.common import (
        exit_if_partial,
        refuse_unused,
        say_problems,
        scanned,
        write,
    )
    from recyclenet.cli.rows import print_row
    from recyclenet.core.extras import require_train

    if objects:
        require_train("finding photos of one object")
    else:
        refuse_unused(context, ("min_similarity",), "without --objects")
    found = scanned(dataset, once=True)
    say_problems(found)
    manifest = _with_objects(found.manifest, min_similarity) if objects else found.manifest
    groups = {sample.group for sample in manifest if sample.group}
    if as_json:
        row = {
            "num_photos": len(manifest),
            "num_left_out": len(found.problems),
            "num_groups": len(groups),
            "classes": manifest.counts,
        }
        print_row(row)
    else:
        say(
            f"{len(manifest)} photos of {len(manifest.class_names)} classes; "
            f"{sum(bool(s.group) for s in manifest)} of them in {len(groups)} groups of "
            f"{'copies or of one object' if objects else 'copies'}; {len(found.problems)} left out"
        )
    write(manifest, out, dry_run)
    exit_if_partial(found)


def _with_objects(manifest: Manifest, min_similarity: float) -> Manifest:
    from recyclenet.cli.progress import counting
    from recyclenet.data.quality.duplicates import find_objects, with_groups
    from recyclenet.training.features import photo_features

    with counting("looking for objects") as progress:
        features = photo_features([sample.path for sample in manifest], progress)
    return with_groups(manifest, find_objects(features, min_similarity))
