"""Balancing classes: fewer rows of the common ones, or more of the rare ones."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import cycle, islice

from recyclenet.data.manifest import Manifest, Sample, rank
from recyclenet.errors import DataError, UsageError

# What fits into memory, and into the manifests that are read.
MAX_ROWS = 1_000_000


def cap(manifest: Manifest, most: int, seed: int) -> Manifest:
    """Keep at most so many training rows of each class, drawn at random.

    Args:
        manifest: photos; where they have splits, only the training rows change.
        most: rows of a class.
        seed: decides which; a photo's chance does not depend on the others, so the choice changes
            little when photos are added.

    Raises:
        UsageError: `most` is no positive number.
    """
    if most < 1:
        raise UsageError(f"the limit per class must be 1 or more, not {most}")
    kept = set()
    for rows in _training_rows(manifest).values():
        kept |= set(_drawn(manifest, rows, seed)[:most])
    others = {row for row, sample in enumerate(manifest) if sample.split not in ("", "train")}
    chosen = sorted(kept | others)
    return Manifest(tuple(manifest.samples[row] for row in chosen))


def oversample(manifest: Manifest, least: int, seed: int) -> Manifest:
    """Repeat training rows until each class has so many.

    Args:
        manifest: photos with splits; without them, a repeated photo could be in two splits.
        least: rows of a class; 0 for as many as the largest has.
        seed: decides which rows come once more than others.

    Raises:
        DataError: the rows have no splits.
        UsageError: there would be more rows than a manifest can have.
    """
    if not manifest.has_splits:
        raise DataError(
            "repeating photos before splitting them causes leaks; run recyclenet data split first"
        )
    by_label = _training_rows(manifest)
    least = least or max((len(rows) for rows in by_label.values()), default=0)
    total = len(manifest) + sum(max(0, least - len(rows)) for rows in by_label.values())
    if total > MAX_ROWS:
        raise UsageError(
            f"{least:,} photos of each class make {total:,} rows; at most {MAX_ROWS:,}"
        )
    repeated: list[Sample] = []
    for _, rows in sorted(by_label.items()):
        extra = islice(cycle(_drawn(manifest, rows, seed)), max(0, least - len(rows)))
        repeated += [manifest.samples[row] for row in extra]
    return Manifest((*manifest.samples, *repeated))


def class_weights(manifest: Manifest) -> dict[str, float]:
    """Return weights with which all classes count the same; their mean over the photos is 1."""
    counts = training_counts(manifest)
    total = counts.total()
    return {label: total / (len(counts) * counts[label]) for label in sorted(counts)}


def training_counts(manifest: Manifest) -> Counter[str]:
    """Return the number of training rows of each class; rows without a split are such."""
    return Counter(sample.label for sample in manifest if sample.split in ("", "train"))


def _training_rows(manifest: Manifest) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = defaultdict(list)
    for row, sample in enumerate(manifest):
        if sample.split in ("", "train"):
            rows[sample.label].append(row)
    return rows


def _drawn(manifest: Manifest, rows: list[int], seed: int) -> list[int]:
    """Return rows in an order drawn from the seed."""

    def place(row: int) -> bytes:
        sample = manifest.samples[row]
        return rank(seed, sample.sha256 or sample.path.as_posix())

    return sorted(rows, key=place)
