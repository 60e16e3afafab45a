"""Feedback that `serve` stored: reading it, and deciding which of it to use.

It comes from strangers. Only files with the names that the service gives are opened, links are not
followed, and sizes are limited. No text of theirs becomes part of a path unless it is a class.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recyclenet.core.text import show_path
from recyclenet.data.manifest import Manifest, Sample
from recyclenet.data.quality.duplicates import clusters, find_pairs
from recyclenet.errors import UsageError, nearest

DOMAIN = "feedback"
TABLE = "feedback.csv"
PAGE = "review.html"
COLUMNS = ("id", "date", "label", "predicted", "model", "model_sha256", "path", "outcome", "reason")
MAX_RECORD_BYTES, MAX_PHOTO_BYTES = 1 << 16, 1 << 28
MAX_TEXT = 255
MAX_PER_CLASS, MAX_SHARE = 100, 0.2
# A label is clear if it has this many times the votes of all other labels together.
CLEAR = 3
_RECORD = re.compile(r"([0-9a-f]{32})\.json")
_PHOTO = re.compile(r"([0-9a-f]{32})\.jpg")
# What becomes of a record.
IMPORTED = "imported"
OUTCOMES = {
    IMPORTED: "in the manifest",
    "no photo": "the user did not agree to store it",
    "changed": "the same answer got other feedback later",
    "unknown label": "the model has no such class",
    "duplicate": "another record of the same photo was imported",
    "contradiction": "the records of one photo give different labels",
    "known": "the photo is in the data set already",
    "limit": "the class has enough feedback",
    "damaged": "the record or its photo cannot be read",
}


@dataclass(frozen=True, slots=True)
class Record:
    """One piece of feedback.

    Attributes:
        id: names its files.
        time: when it was stored, seconds since 1970.
        label: what the user says the photo shows.
        predicted: what the answer said; empty if unknown, like all that follow.
        answer: id of the answer.
        model: name of the model that answered.
        model_sha256: digest of that model file.
        has_photo: whether the user agreed to store the photo.
    """

    id: str
    time: float = 0.0
    label: str = ""
    predicted: str = ""
    answer: str = ""
    model: str = ""
    model_sha256: str = ""
    has_photo: bool = False

    @property
    def date(self) -> str:
        """When it was stored, UTC, as in 2026-11-25T10:08:00; empty if unknown."""
        if not self.time:
            return ""
        return datetime.fromtimestamp(self.time, UTC).isoformat(timespec="seconds")[:19]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of a record.

    Attributes:
        record: the record.
        kind: one of `OUTCOMES`.
        reason: more about it; may be empty.
        num_votes: of the photo's records, how many give this label; 0 unless imported.
    """

    record: Record
    kind: str
    reason: str = ""
    num_votes: int = 0


def find_records(folder: Path) -> tuple[list[str], int]:
    """Return the ids of the records in a folder of feedback, and the number of other files.

    A photo without a record does not count as one: the service may be about to write it.

    Raises:
        UsageError: it is no folder, or holds no feedback.
    """
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except OSError as error:
        raise UsageError(
            f"cannot read {show_path(folder)}: {error.strerror}; give the folder of `recyclenet "
            f"serve --feedback`"
        ) from error
    ids = [found[1] for name in names if (found := _RECORD.fullmatch(name))]
    if not ids:
        raise UsageError(
            f"{show_path(folder)} holds no feedback; give the folder of `recyclenet serve "
            f"--feedback`"
        )
    known = (_RECORD, _PHOTO)
    others = (n for n in names if n[0] != "." and not any(kind.fullmatch(n) for kind in known))
    return ids, sum(1 for _ in others)


def read_record(folder: Path, name: str) -> Record | Outcome:
    """Return a record; an outcome if it is damaged."""
    try:
        values = json.loads(read_file(folder / f"{name}.json", MAX_RECORD_BYTES))
        record = _record(name, values)
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or "not a record of the service"
        return Outcome(Record(name), "damaged", f"{name}.json: {reason}")
    return record


def _record(name: str, values: Any) -> Record:
    """Check what a record says.

    Raises:
        ValueError: the service writes no such record.
    """
    if not isinstance(values, dict) or values.get("id") != name:
        raise ValueError
    time, photo = values.get("time"), values.get("photo")
    if isinstance(time, bool) or not isinstance(time, int | float) or not isinstance(photo, bool):
        raise ValueError
    if not 0 < time < 32_503_680_000:  # before the year 3000; also refuses nan
        raise ValueError
    texts = ("label", "predicted", "answer", "model", "model_sha256")
    known = {key: values.get(key, "") for key in texts}
    for text in known.values():
        if not isinstance(text, str) or len(text) > MAX_TEXT or not text.isprintable():
            raise ValueError
    if not known["label"].strip():
        raise ValueError
    return Record(name, float(time), has_photo=photo, **known)


def read_file(path: Path, max_bytes: int) -> bytes:
    """Read a regular file; links are not followed.

    Raises:
        OSError: it is missing, something else or too large.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with os.fdopen(os.open(path, flags | getattr(os, "O_BINARY", 0)), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "it is not a regular file")
        content = file.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise OSError(0, f"it is larger than {max_bytes:,} bytes")
        return content


def screen(
    records: Sequence[Record], class_names: Sequence[str]
) -> tuple[list[Record], list[Outcome]]:
    """Leave out records without a photo or with an unknown label, and corrected ones.

    Of several records about one answer, the last counts: the user changed their mind.

    Args:
        records: all records.
        class_names: the labels that count.
    """
    last: dict[str, Record] = {}
    for record in sorted(records, key=lambda record: (record.time, record.id)):
        last[record.answer or record.id] = record
    kept, left_out = [], []
    for record in records:
        newer = last[record.answer or record.id]
        if newer is not record:
            left_out.append(Outcome(record, "changed", f"{newer.id} is newer"))
        elif not record.has_photo:
            left_out.append(Outcome(record, "no photo"))
        elif record.label not in class_names:
            hint = nearest(record.label, class_names)
            left_out.append(Outcome(record, "unknown label", f"{record.label!r}: {hint}"))
        else:
            kept.append(record)
    return kept, left_out


def decide(
    photos: Mapping[str, Sample],
    records: Sequence[Record],
    known: Manifest,
    *,
    max_per_class: int = MAX_PER_CLASS,
    max_share: float = MAX_SHARE,
) -> list[Outcome]:
    """Decide which photos to import, one for each picture.

    Args:
        photos: record id to the described photo.
        records: the records of these photos.
        known: data sets with the photos that are there already, described; may be empty.
        max_per_class: number of photos to import of a class at most.
        max_share: of a class's photos, the largest share that may be feedback, that of earlier
            imports in `known` included. The others are those in `known`, without val and test; a
            class that has none there is not limited.

    Raises:
        DataError: rows of `known` have no perceptual hashes.
    """
    outcomes = []
    chosen: dict[str, list[Outcome]] = defaultdict(list)
    for group, there in _pictures(photos, records, known):
        if there is not None:
            reason = f"{show_path(there.path)} ({there.label}{there.split and f', {there.split}'})"
            outcomes += [Outcome(record, "known", reason) for record in group]
            continue
        votes = Counter(record.label for record in group)
        (label, count), *_ = votes.most_common()
        said = ", ".join(f"{name} {number}" for name, number in votes.most_common())
        if count < CLEAR * (len(group) - count):
            outcomes += [Outcome(record, "contradiction", said) for record in group]
            continue
        agreed = [record for record in group if record.label == label]
        best = max(agreed, key=lambda record: (_size(photos[record.id]), -record.time, record.id))
        for record in group:
            if record.label != label:
                outcomes.append(Outcome(record, "contradiction", said))
            elif record is not best:
                outcomes.append(Outcome(record, "duplicate", f"of {best.id}"))
        chosen[label].append(Outcome(best, IMPORTED, num_votes=count))
    present: Counter[str] = Counter()
    earlier: Counter[str] = Counter()
    for sample in known:
        if sample.split not in ("val", "test"):
            (earlier if sample.domain == DOMAIN else present)[sample.label] += 1
    for label, found in chosen.items():
        most, why = max_per_class, f"over {max_per_class} photos of {label}"
        share = math.floor(present[label] * max_share / (1 - max_share)) - earlier[label]
        if present[label] and share < most:
            most, why = max(0, share), f"over {max_share:.0%} of the photos of {label}"
        outcomes += _limited(found, most, why)
    return outcomes


def _pictures(
    photos: Mapping[str, Sample], records: Sequence[Record], known: Manifest
) -> Iterator[tuple[list[Record], Sample | None]]:
    """Yield the records of each picture, and the photo of a data set that is the same, or None."""
    samples = [*known, *(photos[record.id] for record in records)]
    pairs = [pair.rows for pair in find_pairs(Manifest(tuple(samples)))]
    # Pictures without features have no telling hashes.
    first: dict[str, int] = {}
    for row, sample in enumerate(samples):
        other = first.setdefault(sample.sha256, row)
        if other != row and sample.sha256:
            pairs.append((other, row))
    num_known = len(known)
    grouped: set[int] = set()
    for rows in clusters(len(samples), pairs):
        group = [records[row - num_known] for row in rows if row >= num_known]
        grouped.update(rows)
        if group:
            yield group, samples[rows[0]] if rows[0] < num_known else None
    for number, record in enumerate(records):
        if number + num_known not in grouped:
            yield [record], None


def _limited(found: list[Outcome], most: int, why: str) -> Iterator[Outcome]:
    """Keep the photos of one class with the most votes, and of those the oldest."""
    order = sorted(found, key=lambda o: (-o.num_votes, o.record.time, o.record.id))
    yield from order[:most]
    for outcome in order[most:]:
        yield Outcome(outcome.record, "limit", why)


def _size(sample: Sample) -> int:
    return sample.width * sample.height
