"""Turning feedback that `serve` stored into a data set."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recyclenet.core.extras import require_data
from recyclenet.core.files import new_folder, write_bytes, write_table, write_text
from recyclenet.core.progress import Progress, silent
from recyclenet.data.folders import is_label
from recyclenet.data.manifest import MANIFEST_NAME, Manifest, Sample, write_manifest
from recyclenet.data.quality.scan import describe
from recyclenet.data.sources.feedback import (
    COLUMNS,
    DOMAIN,
    IMPORTED,
    MAX_PER_CLASS,
    MAX_PHOTO_BYTES,
    MAX_SHARE,
    OUTCOMES,
    PAGE,
    TABLE,
    Outcome,
    Record,
    decide,
    find_records,
    read_file,
    read_record,
    screen,
)
from recyclenet.errors import DataError, UsageError
from recyclenet.evaluation.report import Review, review_page
from recyclenet.inference.session import default_model_path, find_model, read_info


@dataclass(frozen=True)
class Feedback:
    """Imported feedback.

    Attributes:
        folder: where it lies.
        manifest: the imported photos, all for training, of the domain "feedback".
        outcomes: what became of each record, in the order of their dates.
        num_others: number of files in the feedback folder that are no feedback.
    """

    folder: Path
    manifest: Manifest
    outcomes: tuple[Outcome, ...]
    num_others: int

    @property
    def counts(self) -> dict[str, int]:
        """Number of records of each outcome."""
        found = Counter(outcome.kind for outcome in self.outcomes)
        return {kind: found[kind] for kind in OUTCOMES}

    def to_row(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "num_records": len(self.outcomes),
            "num_photos": len(self.manifest),
            "classes": self.manifest.counts,
            "outcomes": self.counts,
        }


def import_feedback(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str] | None = None,
    known: Manifest | None = None,
    new_classes: Iterable[str] = (),
    max_per_class: int = MAX_PER_CLASS,
    max_share: float = MAX_SHARE,
    progress: Progress = silent,
) -> Feedback:
    """Copy the usable photos of stored feedback into class folders, with a manifest.

    Services may store feedback meanwhile; what they have not finished is left for the next import.
    The new folder also gets a table of all records and a page on which a person reviews the photos.

    Args:
        folder: the folder of `serve --feedback`; it is only read.
        out: the new folder.
        model: a model file or run folder, whose classes count; None for the model in the package.
        known: the photos that are there already, as a scan describes them.
        new_classes: labels to accept although the model does not know them.
        max_per_class: number of photos of a class at most.
        max_share: of a class's photos, the largest share that may be feedback; see `decide`.
        progress: reports the number of photos done.

    Raises:
        UsageError: a folder or a label cannot be used.
        DataError: no record can be used.
        MissingExtraError: the extra "data" is not installed.
    """
    require_data("importing feedback")
    source, target = Path(folder), Path(out)
    class_names = _class_names(model, new_classes)
    ids, num_others = find_records(source)
    read = [read_record(source, name) for name in ids]
    records = [record for record in read if isinstance(record, Record)]
    damaged = [outcome for outcome in read if isinstance(outcome, Outcome)]
    records, left_out = screen(records, class_names)
    with new_folder(target) as place:
        copies = place / ".copies"
        copied, unreadable = _copied(source, copies, records, progress)
        usable = [record for record in records if record.id in copied]
        decided = decide(
            copied,
            usable,
            known or Manifest(()),
            max_per_class=max_per_class,
            max_share=max_share,
        )
        outcomes = sorted(
            [*damaged, *left_out, *unreadable, *decided],
            key=lambda outcome: (outcome.record.time, outcome.record.id),
        )
        manifest = _placed(place, source, copied, outcomes)
        shutil.rmtree(copies)
        _write_report(place, target, manifest, outcomes, class_names)
        moved = [replace(s, path=target / s.path.relative_to(place)) for s in manifest]
    return Feedback(target, Manifest(tuple(moved)), tuple(outcomes), num_others)


def _class_names(
    model: str | os.PathLike[str] | None, new_classes: Iterable[str]
) -> tuple[str, ...]:
    """Return the labels that count.

    Raises:
        UsageError: a new class, or a class of the model, cannot be the name of a folder.
    """
    info = read_info(default_model_path() if model is None else find_model(Path(model)))
    names = list(info.class_names)
    spellings = {name.casefold(): name for name in names}
    for label in new_classes:
        if spellings.get(label.casefold(), label) != label:
            raise UsageError(
                f"the model has the class {spellings[label.casefold()]!r}, not {label!r}; use that "
                f"spelling"
            )
        names.append(label)
    for name in names:
        if not is_label(name) or name != name.strip():
            raise UsageError(f"{name[:100]!r} cannot be the name of a class folder")
    return tuple(dict.fromkeys(names))


def _copied(
    source: Path, copies: Path, records: Sequence[Record], progress: Progress
) -> tuple[dict[str, Sample], list[Outcome]]:
    """Copy the photos of records and describe them.

    Returns:
        Record id to photo, and the records whose photo cannot be read.
    """
    samples, problems = [], {}
    for record in records:
        path = copies / f"{record.id}.jpg"
        try:
            content = read_file(source / path.name, MAX_PHOTO_BYTES)
        except OSError as error:
            problems[path] = f"{path.name}: {error.strerror}"
        else:
            write_bytes(path, content)
            samples.append(Sample(path, record.label))
    described, unreadable = describe(Manifest(tuple(samples)), progress)
    for problem in unreadable:
        if problem.sample is not None:
            reason = problem.reason.replace(str(problem.sample.path), problem.sample.path.name)
            problems[problem.sample.path] = reason
    by_id = {record.id: record for record in records}
    outcomes = [Outcome(by_id[path.stem], "damaged", reason) for path, reason in problems.items()]
    return {sample.path.stem: sample for sample in described}, outcomes


def _placed(
    place: Path, source: Path, copied: dict[str, Sample], outcomes: Sequence[Outcome]
) -> Manifest:
    """Move the chosen photos into class folders.

    Raises:
        DataError: none is chosen.
    """
    chosen = {o.record.id: o.record.label for o in outcomes if o.kind == IMPORTED}
    samples = []
    for name, sample in copied.items():
        if name not in chosen:
            continue
        path = place / chosen[name] / sample.path.name
        path.parent.mkdir(exist_ok=True)
        sample.path.rename(path)
        origin = os.path.abspath(source / path.name)  # noqa: PTH100
        samples.append(replace(sample, path=path, split="train", source=origin, domain=DOMAIN))
    if not samples:
        counts = Counter(outcome.kind for outcome in outcomes)
        found = ", ".join(f"{kind} {number}" for kind, number in sorted(counts.items()))
        example = next((f" (such as {o.reason})" for o in outcomes if o.reason), "")
        raise DataError(f"no feedback can be imported: {found}{example}; see docs/feedback.md")
    return Manifest(tuple(sorted(samples, key=lambda sample: (sample.label, sample.path.name))))


def _write_report(
    place: Path,
    target: Path,
    manifest: Manifest,
    outcomes: Sequence[Outcome],
    class_names: Sequence[str],
) -> None:
    """Write the manifest, the table of all records and the page for the review."""
    write_manifest(manifest, place / MANIFEST_NAME)
    by_id = {sample.path.stem: sample for sample in manifest}
    rows: list[tuple[object, ...]] = [COLUMNS]
    for outcome in outcomes:
        record = outcome.record
        sample = by_id.get(record.id)
        path = "" if sample is None else sample.path.relative_to(place).as_posix()
        told = (record.label, record.predicted, record.model, record.model_sha256)
        rows.append((record.id, record.date, *told, path, outcome.kind, outcome.reason))
    write_table(place / TABLE, rows)
    imported = {outcome.record.id: outcome for outcome in outcomes if outcome.kind == IMPORTED}
    reviews = [
        Review(
            sample=sample,
            path=os.fspath(target / sample.path.relative_to(place)),
            outcome=imported[sample.path.stem],
        )
        for sample in manifest
    ]
    write_text(place / PAGE, review_page(reviews, class_names))
