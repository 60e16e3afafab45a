"""`recyclenet data clean` and `undo`: photos that should not be in a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recyclenet.cli.data.common import DryRunOption, OutOption, SourceArgument
from recyclenet.cli.options import JsonOption
from recyclenet.cli.output import say

if TYPE_CHECKING:
    from recyclenet.data.clean import Issue
    from recyclenet.data.manifest import Manifest


def clean(
    dataset: SourceArgument,
    out: OutOption = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", help="Folder for issues.csv and a contact sheet of each kind."),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            "--predictions",
            help="predictions.csv of `recyclenet crossval`: also look for wrong labels.",
        ),
    ] = None,
    take: Annotated[
        str | None,
        typer.Option("--take", help="Kinds of faults for which a photo goes, with commas between."),
    ] = None,
    min_side: Annotated[int, typer.Option("--min-side", min=1, help="Pixels.")] = 64,
    max_aspect: Annotated[
        float, typer.Option("--max-aspect", min=1, help="Long side over short side.")
    ] = 3.0,
    quarantine: Annotated[
        Path | None,
        typer.Option("--quarantine", help="Folder that `--apply` moves photos to."),
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Move the photos away; `data undo` brings them back.")
    ] = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Find faulty photos: unreadable, small, odd, dark, overexposed, empty, copies, wrong labels.

    Writes a manifest without them; with --apply also moves the files into a quarantine.
    """
    from recyclenet.cli.data.common import scanned, write
    from recyclenet.cli.progress import counting
    from recyclenet.cli.rows import print_columns, print_row
    from recyclenet.data.clean import KINDS, Issue, find_issues, without
    from recyclenet.data.quarantine import quarantine as move_away
    from recyclenet.errors import UsageError, look_up

    kinds = [kind for kind, goes in KINDS.items() if goes] if take is None else take.split(",")
    for kind in kinds:
        look_up(kind, KINDS, "kind of fault")
    if apply != (quarantine is not None):
        raise UsageError("--apply and --quarantine FOLDER go together: photos move there")
    if "label" in kinds and predictions is None:
        raise UsageError("wrong labels are found with --predictions FILE; give it, or take others")
    found = scanned(dataset)
    issues = [
        Issue(problem.sample, "unreadable", problem.reason)
        for problem in found.problems
        if problem.sample is not None
    ]
    for problem in found.problems:
        if problem.sample is None:
            say(f"not followed: {problem.reason}", err=True)
    with counting("looking for faults") as progress:
        issues += find_issues(
            found.manifest,
            found.pairs,
            min_side=min_side,
            max_aspect=max_aspect,
            progress=progress,
        )
    if predictions is not None:
        issues += _label_issues(found.manifest, predictions)
    if as_json:
        for issue in issues:
            print_row(
                {
                    "path": str(issue.sample.path),
                    "label": issue.sample.label,
                    "kind": issue.kind,
                    "detail": issue.detail,
                    "other": None if issue.other is None else str(issue.other.path),
                    "goes": issue.kind in kinds,
                }
            )
    else:
        print_columns(
            ("fault", "photos", "goes"),
            [
                (kind, str(sum(i.kind == kind for i in issues)), "yes" if kind in kinds else "no")
                for kind in KINDS
            ],
        )
    kept = without(found.manifest, issues, kinds)
    gone = {issue.sample.path: issue.kind for issue in reversed(issues) if issue.kind in kinds}
    say(f"{len(gone)} photos go, {len(kept)} stay", err=as_json)
    if report is not None and not dry_run:
        from recyclenet.data.sheet import write_issues

        for path in write_issues(issues, kinds, report):
            say(f"wrote {path}", err=as_json)
    if out is not None:
        write(kept, out, dry_run, dataset)
    if apply and not dry_run:
        assert quarantine is not None
        moves = move_away(sorted(gone.items()), quarantine)
        say(f"moved {len(moves)} photos; back with: recyclenet data undo {quarantine}", err=as_json)


def undo(
    quarantine: Annotated[Path, typer.Argument(help="The folder that `clean --apply` filled.")],
    dry_run: DryRunOption = False,
) -> None:
    """Move the photos of a quarantine back to where they were."""
    from recyclenet.core.text import printable
    from recyclenet.data.quarantine import read_journal, restore

    if dry_run:
        for move in read_journal(quarantine):
            say(f"{printable(move.path)}\t{printable(move.reason)}")
        return
    say(f"moved {len(restore(quarantine))} photos back")


def _label_issues(manifest: Manifest, predictions: Path) -> list[Issue]:
    from recyclenet.core.decision import softmax
    from recyclenet.data.clean import find_label_issues
    from recyclenet.errors import DataError
    from recyclenet.evaluation.table import read_predictions

    paths, logits, names = read_predictions(predictions)
    by_path = {sample.path.resolve(): sample for sample in manifest}
    rows = [row for row, path in enumerate(paths) if path.resolve() in by_path]
    if not rows:
        raise DataError(f"{predictions} is about other photos: none of its paths is in the dataset")
    samples = [by_path[paths[row].resolve()] for row in rows]
    manifest.check_labels(names)
    return find_label_issues(samples, softmax(logits[rows]), names)
