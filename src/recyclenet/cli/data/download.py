"""`recyclenet data download`: download a published dataset and verify every photo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recyclenet.cli.command import Reads, Writes
from recyclenet.cli.options import ForceOption
from recyclenet.cli.output import say
from recyclenet.core.outputs import MANIFEST, Folder

if TYPE_CHECKING:
    from recyclenet.data.sources.download import DownloadReport

DATASETS = ("trashnet",)
NUM_NAMED = 3


def download(
    dataset: Annotated[str, typer.Argument(help="The dataset: trashnet.")],
    to: Annotated[
        Path | None,
        typer.Option("--to", help="Folder for the photos."),
        Writes(Folder(lambda: {"manifest.csv": MANIFEST})),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            help="URL of a zip archive, or of a folder if it ends in '/'. "
            "Replaces the built-in sources; may be repeated.",
        ),
    ] = None,
    origin: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Use a local folder or zip archive instead of the network. "
            "Without --to, only verify it.",
        ),
        Reads(),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    force: ForceOption = False,
) -> None:
    """Download a dataset, or verify a copy of it, photo by photo.

    To continue after an interruption, run the same command again. Exit codes: 0 all photos
    verified, 3 some missing or wrong, 1 none available.
    """
    from recyclenet.cli.progress import counting
    from recyclenet.cli.rows import print_row
    from recyclenet.data.sources import download as work
    from recyclenet.errors import UsageError, nearest

    if dataset not in DATASETS:
        raise UsageError(f"unknown dataset {dataset!r}: {nearest(dataset, DATASETS)}")
    if to is None and origin is None:
        raise UsageError("no folder given; give --to FOLDER, or --from COPY to verify a copy")
    if source and origin is not None:
        raise UsageError(
            "--source is for downloads and --from for a local copy; give only one of them"
        )
    with counting(dataset, "bytes") as progress:
        if to is None:
            assert origin is not None
            report = work.verify_trashnet(origin, progress=progress)
        else:
            sources = [origin] if origin is not None else source or work.SOURCES
            report = work.get_trashnet(to, sources=sources, progress=progress, force=force)
    if as_json:
        print_row(_as_dict(dataset, report))
    else:
        for line in _as_text(report):
            say(line)
    raise typer.Exit(report.exit_code)


def _as_dict(dataset: str, report: DownloadReport) -> dict[str, object]:
    return {
        "dataset": dataset,
        "place": str(report.place),
        "complete": report.complete,
        "num_expected": report.num_expected,
        "num_verified": report.num_verified,
        "num_added": report.num_added,
        "num_missing": len(report.missing),
        "num_different": len(report.different),
        "num_extra": len(report.extra),
        "num_received_bytes": report.num_received_bytes,
        "missing": report.missing,
        "different": report.different,
        "extra": report.extra,
        "problems": report.problems,
        "manifest": None if report.manifest is None else str(report.manifest),
    }


def _as_text(report: DownloadReport) -> list[str]:
    lines = [f"{report.place}: {report.num_verified} of {report.num_expected} photos verified"]
    if report.num_added:
        lines[0] += f", {report.num_added} of them new"
    for word, names in (
        ("missing", report.missing),
        ("different", report.different),
        ("extra", report.extra),
    ):
        if names:
            more = ", ..." if len(names) > NUM_NAMED else ""
            lines.append(f"  {len(names)} {word}: {', '.join(names[:NUM_NAMED])}{more}")
    if report.manifest is not None:
        lines.append(f"  labels and splits: {report.manifest}")
    return lines
