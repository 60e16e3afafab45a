"""`recyclenet data clean` and `undo`: find and quarantine faulty photos."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recyclenet.cli.command import Reads, Writes
from recyclenet.cli.data.common import DryRunOption, OutOption, SourceArgument
from recyclenet.cli.options import ForceOption, JsonOption
from recyclenet.cli.output import say, say_written
from recyclenet.core.outputs import ISSUES, MOVES, PICTURE, Folder, Kind

if TYPE_CHECKING:
    from recyclenet.data.manifest import Manifest, Sample
    from recyclenet.data.quality.clean import Issue
    from recyclenet.data.quality.quarantine import Outcome
    from recyclenet.data.quality.scan import Scan


def _report_files() -> dict[str, Kind]:
    from recyclenet.data.quality.clean import KINDS

    return {"issues.csv": ISSUES, **{f"{kind}.png": PICTURE for kind in KINDS}}


def clean(
    dataset: SourceArgument,
    out: OutOption = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", help="Folder for issues.csv and a contact sheet per fault."),
        Writes(Folder(_report_files)),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            "--predictions",
            help="predictions.csv of `recyclenet crossval`; needed to find wrong labels.",
        ),
        Reads(),
    ] = None,
    marks: Annotated[
        Path | None,
        typer.Option(
            "--marks",
            help="Marks from a page of `recyclenet evaluate`: labels to change, photos to remove.",
        ),
        Reads(),
    ] = None,
    take: Annotated[
        str | None,
        typer.Option("--take", help="Faults for which to remove photos, separated by commas."),
    ] = None,
    min_side: Annotated[int, typer.Option("--min-side", min=1, help="Minimum side, pixels.")] = 64,
    max_aspect: Annotated[
        float, typer.Option("--max-aspect", min=1, help="Maximum ratio of long side to short side.")
    ] = 3.0,
    quarantine: Annotated[
        Path | None,
        typer.Option("--quarantine", help="Folder to which --apply moves photos."),
        Writes(Folder(lambda: {"moves.csv": MOVES})),
    ] = None,
    apply: Annotated[
        bool,
        typer.Option(
            "--apply", help="Move faulty photos to the quarantine; `data undo` moves them back."
        ),
    ] = False,
    dry_run: DryRunOption = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Find unreadable, small, badly exposed, duplicate and wrongly labelled photos.

    Writes a manifest without them; with --apply also moves the files into a quarantine. Exit code
    3: some photos were left out, or could not be moved; they are named.
    """
    from contextlib import nullcontext

    from recyclenet.cli.data.common import scanned, write
    from recyclenet.cli.progress import counting
    from recyclenet.data.quality.clean import KINDS, Issue, find_departures, find_issues, without
    from recyclenet.data.quality.quarantine import open_quarantine
    from recyclenet.errors import EXIT_PARTIAL, UsageError, look_up

    kinds = [kind for kind, goes in KINDS.items() if goes] if take is None else take.split(",")
    for kind in kinds:
        look_up(kind, KINDS, "kind of fault")
    if apply != (quarantine is not None):
        raise UsageError("--apply and --quarantine FOLDER must be given together")
    if "label" in kinds and predictions is None:
        raise UsageError(
            "the fault 'label' needs --predictions FILE; give it, or omit 'label' from --take"
        )
    # Open the quarantine first: reading the photos may take long.
    with open_quarantine(quarantine) if quarantine and not dry_run else nullcontext() as away:
        found, marked = _marked(scanned(dataset, once=True), marks)
        issues = [
            Issue(problem.sample, "unreadable", problem.reason)
            for problem in found.problems
            if problem.sample is not None and problem.kind == "unreadable"
        ]
        issues += [Issue(sample, "marked", "to remove") for sample in marked]
        with counting("looking for faults") as progress:
            issues += find_issues(
                found.manifest,
                found.pairs,
                min_side=min_side,
                max_aspect=max_aspect,
                going={sample.path for sample in marked},
                progress=progress,
            )
        if predictions is not None:
            issues += _label_issues(found.manifest, predictions)
        _print_issues(issues, kinds, as_json)
        kept = without(found.manifest, issues, kinds)
        departures = find_departures(issues, kinds)
        say(f"{len(departures)} photos to remove, {len(kept)} to keep", err=as_json)
        if report is not None and not dry_run:
            from recyclenet.data.quality.sheet import write_issues

            for path in write_issues(issues, kinds, report):
                say_written(path)
        if out is not None:
            write(kept, out, dry_run)
        partial = _say_left_out(found)
        if away is not None:
            partial |= _say_moved(away.take(departures), away.folder, as_json)
    if partial:
        raise typer.Exit(EXIT_PARTIAL)


def undo(
    quarantine: Annotated[
        Path, typer.Argument(help="The quarantine folder of `data clean --apply`."), Reads()
    ],
    dry_run: DryRunOption = False,
) -> None:
    """Move the photos of a quarantine back to where they were.

    Exit code 3: some photos could not be moved back; stderr names them. Run it again to retry.
    """
    from recyclenet.core.text import printable
    from recyclenet.data.quality.quarantine import read_journal, restore
    from recyclenet.errors import EXIT_PARTIAL

    if dry_run:
        for move in read_journal(quarantine):
            say(f"{printable(move.path)}\t{printable(move.reason)}")
        return
    outcome = restore(quarantine)
    for line in outcome.left:
        say(f"not moved back: {line}", err=True)
    say(f"moved {len(outcome.moved)} photos back")
    if outcome.left:
        raise typer.Exit(EXIT_PARTIAL)


def _marked(found: Scan, marks: Path | None) -> tuple[Scan, Sequence[Sample]]:
    """Return the scan with new labels, and the photos that are marked to be removed."""
    from dataclasses import replace

    from recyclenet.data.quality.marks import apply_marks, read_marks

    if marks is None:
        return found, ()
    result = apply_marks(found.manifest, read_marks(marks))
    say(f"{result.num_relabelled} photos get another label", err=True)
    if result.num_unknown:
        say(f"left out: {result.num_unknown} marks of photos not in the dataset", err=True)
    return replace(found, manifest=result.manifest), result.removed


def _label_issues(manifest: Manifest, predictions: Path) -> list[Issue]:
    from recyclenet.core.decision import softmax
    from recyclenet.data.identity import identity
    from recyclenet.data.quality.clean import find_label_issues
    from recyclenet.errors import DataError
    from recyclenet.evaluation.table import read_predictions

    table = read_predictions(predictions)
    by_file = {identity(sample.path): sample for sample in manifest}
    files = [identity(sample.path) for sample in table.samples]
    rows = [row for row, file in enumerate(files) if file in by_file]
    if not rows:
        raise DataError(f"{predictions} lists other photos: none of its paths is in the dataset")
    samples = [by_file[files[row]] for row in rows]
    manifest.check_labels(table.class_names)
    return find_label_issues(samples, softmax(table.logits[rows]), table.class_names)


def _print_issues(issues: Sequence[Issue], kinds: Sequence[str], as_json: bool) -> None:
    from recyclenet.cli.rows import print_columns, print_row
    from recyclenet.data.quality.clean import KINDS

    if not as_json:
        counts = Counter(issue.kind for issue in issues)
        print_columns(
            ("fault", "photos", "goes"),
            [(kind, str(counts[kind]), "yes" if kind in kinds else "no") for kind in KINDS],
        )
        return
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


def _say_left_out(found: Scan) -> bool:
    """Report what was skipped; return whether any of it is a photo."""
    left_out = [problem for problem in found.problems if problem.kind != "unreadable"]
    for problem in left_out:
        say(f"left out: {problem.reason}", err=True)
    return any(problem.sample for problem in left_out)


def _say_moved(outcome: Outcome, folder: Path, as_json: bool) -> bool:
    """Report moved and unmoved photos; return whether any was not moved."""
    for line in outcome.left:
        say(f"not moved: {line}", err=True)
    back = f"; to undo: recyclenet data undo {shlex.quote(str(folder))}" if outcome.moved else ""
    say(f"moved {len(outcome.moved)} photos{back}", err=as_json)
    return bool(outcome.left)
