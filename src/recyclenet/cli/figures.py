"""Folders of pictures, one for each photo, whose names are known only when the command runs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from recyclenet.core import outputs


def check_figures(
    out: Path, names: Iterable[str], report: Path | None, inputs: Iterable[Path], force: bool
) -> None:
    """Apply the rule on what a command may replace to the figures, whose names are known late."""
    kinds = dict.fromkeys(names, outputs.PICTURE)
    targets = outputs.expand("--out", out, outputs.Folder(lambda: kinds))
    if report is not None:
        targets.append(outputs.Output("--report", report, outputs.PAGE))
    outputs.check_outputs(targets, [("PATHS or a model", path) for path in inputs], force)
