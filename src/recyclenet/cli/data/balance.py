"""`recyclenet data balance`: balance the number of training photos per class."""

from __future__ import annotations

from typing import Annotated

import typer

from recyclenet.cli.data.common import DryRunOption, OutOption, SeedOption, SourceArgument
from recyclenet.cli.options import ForceOption
from recyclenet.cli.output import say_left_out


def balance(
    dataset: SourceArgument,
    out: OutOption = None,
    most: Annotated[
        int, typer.Option("--cap", min=0, help="Maximum number of photos per class; 0: no limit.")
    ] = 0,
    least: Annotated[
        int | None,
        typer.Option(
            "--oversample",
            min=0,
            help="Repeat photos up to this number per class; 0: as many as the largest class.",
        ),
    ] = None,
    seed: SeedOption = 0,
    dry_run: DryRunOption = False,
    force: ForceOption = False,
) -> None:
    """Limit or repeat the training photos of each class; validation and test do not change.

    Also prints class weights, which balance the classes in the loss instead
    (`recyclenet train --set optim.class_weights=balanced`).
    """
    from recyclenet.cli.data.common import write
    from recyclenet.cli.rows import print_columns
    from recyclenet.data.dataset import load_dataset
    from recyclenet.data.splits.balance import cap, class_weights, oversample, training_counts
    from recyclenet.errors import UsageError

    if not dry_run and not most and least is None:
        raise UsageError("no balancing method given; give --cap N or --oversample N, or --dry-run")
    before = load_dataset(dataset, say_left_out)
    after = cap(before, most, seed) if most else before
    after = after if least is None else oversample(after, least, seed)
    weights = class_weights(after)
    counts = [training_counts(manifest) for manifest in (before, after)]
    print_columns(
        ("class", "train before", "after", "weight"),
        [
            (label, *(str(count[label]) for count in counts), f"{weights[label]:.3f}")
            for label in sorted(weights)
        ],
    )
    write(after, out, dry_run)
