"""The manifest: one row a photo, and nothing about a dataset that is not in it."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from recyclenet.core.files import read_table, write_table
from recyclenet.data.identity import identity, true_path
from recyclenet.errors import DataError, UsageError, nearest

SPLITS = ("train", "val", "test")
MANIFEST_NAME = "manifest.csv"
COLUMNS = ("path", "label", "split", "sha256")
# Columns that `scan` and `collect` add; a manifest has such a column if a row has a value in it.
NUMBERS = ("width", "height", "num_bytes")
TEXTS = ("taken", "source", "licence", "phash", "group", "domain")
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Sample:
    """One photo of a dataset.

    Attributes:
        path: where the photo lies.
        label: the name of its true class.
        split: "train", "val" or "test"; empty where none is assigned.
        sha256: hexadecimal digest of the file's bytes; empty where unknown.
        width: of the upright picture, pixels; 0 where unknown, like the next two.
        height: of the upright picture, pixels.
        num_bytes: size of the file.
        taken: when, as the camera wrote it (EXIF); empty where unknown, like all that follow.
        source: where the photo comes from: an address, or the path it is a copy of.
        licence: under which terms.
        phash: perceptual hashes of the photo and its mirror images; see `quality.duplicates`.
        group: rows with the same one belong into one split.
        domain: the data set a photo is from, with its cameras, places and way of labelling.
    """

    path: Path
    label: str
    split: str = ""
    sha256: str = ""
    width: int = 0
    height: int = 0
    num_bytes: int = 0
    taken: str = ""
    source: str = ""
    licence: str = ""
    phash: str = ""
    group: str = ""
    domain: str = ""


@dataclass(frozen=True)
class Manifest:
    """All rows of a dataset, in a fixed order."""

    samples: tuple[Sample, ...]

    def __len__(self) -> int:
        return len(self.samples)

    def __repr__(self) -> str:
        counts = ", ".join(f"{name} {count}" for name, count in self.counts.items())
        return f"Manifest({len(self)} photos: {counts})"

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The labels that occur, sorted."""
        return tuple(sorted({sample.label for sample in self.samples}))

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains that occur, sorted; `("",)` where no row has one."""
        return tuple(sorted({sample.domain for sample in self.samples}))

    @property
    def counts(self) -> dict[str, int]:
        """Number of photos of each label, by label."""
        return dict(sorted(Counter(sample.label for sample in self.samples).items()))

    @property
    def has_splits(self) -> bool:
        """Whether any row says which split it belongs to."""
        return any(sample.split for sample in self.samples)

    @property
    def default_split(self) -> str:
        """The split to evaluate on: "test" if any row is in it, otherwise "all"."""
        return "test" if any(sample.split == "test" for sample in self.samples) else "all"

    def select(self, split: str) -> Manifest:
        """Return the rows of one split, or all rows for "all".

        Raises:
            UsageError: no such split exists, or it is empty here.
        """
        if split == "all":
            return self
        if split not in SPLITS:
            raise UsageError(f"unknown split {split!r}; known: all, {', '.join(SPLITS)}")
        chosen = tuple(sample for sample in self.samples if sample.split == split)
        if not chosen:
            hint = (
                "its splits are " + ", ".join(sorted({s.split for s in self.samples if s.split}))
                if self.has_splits
                else "it has no splits; use --split all"
            )
            raise UsageError(f"no photo of this dataset is in split {split!r}: {hint}")
        return Manifest(chosen)

    def evenly(self, limit: int | None) -> Manifest:
        """Return at most `limit` rows (1 or more), evenly spaced; None for all."""
        return self if limit is None else Manifest(tuple(evenly(self.samples, limit)))

    def check_labels(self, class_names: Iterable[str]) -> None:
        """Refuse labels that are not among `class_names`.

        Raises:
            DataError: some row has another label; names the first and the nearest right one.
        """
        known = tuple(class_names)
        unknown = [name for name in self.class_names if name not in known]
        if unknown:
            first = next(sample for sample in self.samples if sample.label == unknown[0])
            more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
            raise DataError(
                f"unknown label {unknown[0]!r}{more} (first at {first.path}): "
                f"{nearest(unknown[0], known)}"
            )

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the sorted rows (digest, label, split): same data, same fingerprint."""
        digest = hashlib.sha256()
        for row in sorted(f"{s.sha256 or s.path.name}\t{s.label}\t{s.split}" for s in self.samples):
            digest.update(row.encode("utf-8", errors="surrogateescape") + b"\n")
        return digest.hexdigest()


def read_manifest(path: Path) -> Manifest:
    """Read a CSV manifest: columns `path` and `label`, optionally `split` and `sha256`.

    Relative paths are taken from the folder of the CSV file.

    Raises:
        UsageError: the file does not exist or cannot be opened.
        DataError: it is no such table; the message names the line.
    """
    rows = read_table(path)
    _, names = next(rows, (1, []))
    twice = [name for name in (*COLUMNS, *NUMBERS, *TEXTS) if names.count(name) > 1]
    if twice:
        raise DataError(f"{path} has two columns named {twice[0]}")
    missing = [name for name in ("path", "label") if name not in names]
    if missing:
        raise DataError(
            f"{path} has no column {' and '.join(missing)}: its first line must name "
            f"path,label (and optionally split,sha256)"
        )
    samples = tuple(_sample(path, line, dict(zip(names, row, strict=False))) for line, row in rows)
    if not samples:
        raise DataError(f"{path} lists no photos")
    return Manifest(samples)


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write `manifest` as CSV, atomically; paths inside the file's own folder become relative."""
    folder = Path(os.path.abspath(path.parent))  # noqa: PTH100 - resolve() would follow links
    more = [name for name in (*NUMBERS, *TEXTS) if any(getattr(s, name) for s in manifest)]
    rows: list[tuple[object, ...]] = [(*COLUMNS, *more)]
    for sample in manifest:
        place = Path(os.path.abspath(sample.path))  # noqa: PTH100
        if ".." in sample.path.parts and identity(place) != identity(sample.path):
            place = true_path(sample.path)  # behind a link, ".." leads elsewhere
        shown = place.relative_to(folder) if place.is_relative_to(folder) else place
        known = (getattr(sample, name) or "" for name in more)
        rows.append((shown.as_posix(), sample.label, sample.split, sample.sha256, *known))
    write_table(path, rows)


def _sample(table: Path, line: int, row: dict[str, str]) -> Sample:
    photo, label = row.get("path") or "", (row.get("label") or "").strip()
    split = (row.get("split") or "").strip()
    if not photo or not label:
        raise DataError(f"{table}, line {line}: a row needs both a path and a label")
    if split and split not in SPLITS:
        raise DataError(f"{table}, line {line}: split {split!r} is none of {', '.join(SPLITS)}")
    known: dict[str, Any] = {name: (row.get(name) or "").strip() for name in TEXTS}
    for name in NUMBERS:
        text = (row.get(name) or "").strip() or "0"
        if not re.fullmatch("[0-9]{1,15}", text):
            shown = text if len(text) < 40 else f"{text[:40]}..."
            raise DataError(f"{table}, line {line}: {name} must be a whole number, not {shown!r}")
        known[name] = int(text)
    digest = (row.get("sha256") or "").strip().lower()
    return Sample(table.parent / photo, label, split, digest, **known)


def evenly(items: Sequence[Item], limit: int) -> list[Item]:
    """Return at most `limit` items (1 or more), evenly spaced.

    >>> evenly("abcdef", 3)
    ['a', 'c', 'e']
    """
    number = min(limit, len(items))
    return [items[i * len(items) // number] for i in range(number)]


def rank(seed: int, key: str) -> bytes:
    """Return a key of a random order; it depends on the seed and on this row alone."""
    return hashlib.sha256(f"{seed}\t{key}".encode(errors="surrogateescape")).digest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def change_since_scan(sample: Sample) -> str:
    """Return what has become of a photo since its row was written; empty if nothing has.

    Without a digest in the row, a changed content goes unnoticed.
    """
    try:
        if not stat.S_ISREG(sample.path.stat().st_mode):
            return "is not a regular file"
        if sample.sha256 and file_digest(sample.path) != sample.sha256:
            return "changed since the scan"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return ""


def readable_digest(path: Path) -> str:
    """Return the SHA-256 of a regular file's bytes; empty if it cannot be read."""
    try:
        return file_digest(path) if path.is_file() else ""
    except OSError:
        return ""


def trashnet_manifest() -> Manifest:
    """Return TrashNet's 2,527 photos with published splits and digests; paths are relative."""
    with resources.as_file(resources.files("recyclenet.data") / "trashnet.csv") as table:
        samples = read_manifest(table).samples
        return Manifest(tuple(replace(s, path=s.path.relative_to(table.parent)) for s in samples))
