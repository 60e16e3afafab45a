"""`recyclenet data augment`: augmented copies of the training photos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recyclenet.cli.command import Writes
from recyclenet.cli.data.common import DryRunOption, OutOption, SeedOption, SourceArgument
from recyclenet.cli.options import ForceOption
from recyclenet.cli.output import say, say_left_out
from recyclenet.core.outputs import Folder


def augment(
    dataset: SourceArgument,
    copies: Annotated[
        Path | None,
        typer.Option("--copies", help="New folder for the augmented copies."),
        Writes(Folder(dict)),
    ] = None,
    out: OutOption = None,
    groups: Annotated[
        str, typer.Option("--groups", help="Any of basic, affine, blur-distortion, flips.")
    ] = "basic,affine,blur-distortion",
    probability: Annotated[
        str,
        typer.Option(
            "--probability", help="Probability of each change: low 0.1, mid 0.3, high 0.5."
        ),
    ] = "low",
    seed: SeedOption = 0,
    dry_run: DryRunOption = False,
    force: ForceOption = False,
) -> None:
    """Write an augmented copy of every training photo for each group of changes.

    A copy stays in the split of its photo. Training can augment on the fly instead:
    `--set augment.groups=...`.
    """
    import os

    from recyclenet.cli.data.common import write
    from recyclenet.cli.progress import counting
    from recyclenet.core.extras import require_train
    from recyclenet.data.dataset import load_dataset
    from recyclenet.errors import UsageError, look_up

    require_train("augmenting photos")
    from recyclenet.training.augment import GROUPS, PROBABILITIES, write_copies

    chosen = groups.split(",")
    for group in chosen:
        look_up(group, dict.fromkeys(GROUPS), "group of changes")
    p = look_up(probability, PROBABILITIES, "probability")
    manifest = load_dataset(dataset, say_left_out)
    if dry_run:
        num_sources = sum(sample.split in ("", "train") for sample in manifest)
        say(f"{num_sources} training photos would get {len(chosen)} copies each")
        return
    if copies is None or out is None:
        raise UsageError(
            "no output given; give --copies FOLDER and --out MANIFEST.csv, or --dry-run"
        )
    if os.path.realpath(out) == os.path.realpath(copies):
        raise UsageError(f"--copies and --out both name {out}; choose a folder and a file")
    with counting("augmenting photos") as progress:
        manifest = write_copies(manifest, chosen, p, copies, seed, progress, force=force)
    write(manifest, out, dry_run)
