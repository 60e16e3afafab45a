"""Marks from the page that `evaluate` writes: labels to change, and photos to remove."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from recyclenet.core.files import read_table
from recyclenet.data.identity import identity
from recyclenet.data.manifest import Manifest, Sample
from recyclenet.errors import DataError, nearest

RELABEL, REMOVE = "relabel", "remove"


@dataclass(frozen=True, slots=True)
class Mark:
    """What is to become of one photo.

    Attributes:
        path: of the photo.
        label: the new label; for `REMOVE`, the old one.
        action: `RELABEL` or `REMOVE`.
    """

    path: Path
    label: str
    action: str


@dataclass(frozen=True)
class Marked:
    """A dataset with its marks applied.

    Attributes:
        manifest: all photos, with their new labels.
        removed: the photos to remove; `manifest` still has them.
        num_relabelled: number of photos with a new label.
        num_unknown: number of marks for photos that are not in the dataset.
    """

    manifest: Manifest
    removed: tuple[Sample, ...]
    num_relabelled: int
    num_unknown: int


def read_marks(path: Path) -> list[Mark]:
    """Read a CSV file with the columns path, label and action.

    Paths are relative to the current folder, as in the page.

    Raises:
        UsageError: the file cannot be read.
        DataError: it is not a table of marks; the message gives the line.
    """
    rows = read_table(path)
    _, names = next(rows, (1, []))
    if names != ["path", "label", "action"]:
        raise DataError(
            f"{path} is not a table of marks: its first line must be path,label,action; "
            f"download one from a page of recyclenet evaluate"
        )
    marks = []
    for line, row in rows:
        if len(row) != len(names) or not row[0] or not row[1].strip():
            raise DataError(f"{path}, line {line}: a row needs a path, a label and an action")
        if row[2] not in (RELABEL, REMOVE):
            raise DataError(
                f"{path}, line {line}: unknown action {row[2][:40]!r}: "
                f"{nearest(row[2], (RELABEL, REMOVE))}"
            )
        marks.append(Mark(Path(row[0]), row[1].strip(), row[2]))
    return marks


def apply_marks(manifest: Manifest, marks: Sequence[Mark]) -> Marked:
    """Apply marks to a dataset; of several marks for one photo, the last counts.

    Raises:
        DataError: there are marks, but none is for a photo of the dataset.
    """
    by_file = {identity(mark.path): mark for mark in marks}
    num_marks = len(by_file)
    samples, removed, num_relabelled = [], [], 0
    for sample in manifest:
        mark = by_file.pop(identity(sample.path), None)
        if mark is not None and mark.action == RELABEL and mark.label != sample.label:
            sample = replace(sample, label=mark.label)
            num_relabelled += 1
        elif mark is not None and mark.action == REMOVE:
            removed.append(sample)
        samples.append(sample)
    if marks and len(by_file) == num_marks:
        raise DataError(
            f"the marks are for other photos, such as {marks[0].path}: none is in the dataset; "
            f"run the command in the folder in which you ran evaluate"
        )
    return Marked(Manifest(tuple(samples)), tuple(removed), num_relabelled, len(by_file))
