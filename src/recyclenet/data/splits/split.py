"""Dividing a dataset into training, validation and test photos."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from recyclenet.core.files import read_text
from recyclenet.data.manifest import SPLITS, Manifest, Sample, rank
from recyclenet.errors import DataError, UsageError

RATIOS = {"train": 0.70, "val": 0.13, "test": 0.17}


def with_splits(
    manifest: Manifest, seed: int, shares: tuple[float, float, float] | None = None
) -> Manifest:
    """Return the manifest with every row in a split; splits that are there are kept.

    With `shares` of train, val and test, all splits are drawn anew instead.

    Photos without splits are divided 70/13/17. A dataset with training but no validation photos
    gives up part of its training photos. Stratified by domain and label; the same photos and seed
    give the same splits; files with the same bytes stay together.

    Raises:
        DataError: some rows of a domain have a split and some have none, or none is for training.
    """
    if shares is not None:
        blank = Manifest(tuple(replace(sample, split="") for sample in manifest))
        return _draw(blank, "", dict(zip(SPLITS, shares, strict=True)), seed)
    present = {sample.split for sample in manifest}
    if "" in present:
        undivided = {sample.domain for sample in manifest if not sample.split}
        if any(sample.split and sample.domain in undivided for sample in manifest):
            raise DataError("some rows have no split; fill the whole column or remove it")
        manifest = _draw(manifest, "", RATIOS, seed)
        present = {sample.split for sample in manifest}
    if "train" not in present:
        raise DataError("no photo is in the split 'train'")
    if "val" in present:
        return manifest
    share = RATIOS["val"] / (RATIOS["train"] + RATIOS["val"])
    return _draw(manifest, "train", {"train": 1 - share, "val": share}, seed)


def fold_splits(manifest: Manifest, num_folds: int, seed: int) -> list[Manifest]:
    """Return a manifest for each fold: one part of the photos validates, all others train.

    Every photo validates once. Test photos stay out. Stratified by label; files with the same bytes
    stay together; the same photos and seed give the same folds.

    Raises:
        UsageError: fewer than two folds.
        DataError: a class has fewer photos than there are folds.
    """
    if num_folds < 2:
        raise UsageError(f"cross-validation needs 2 folds or more, not {num_folds}")
    pool = [sample for sample in manifest if sample.split != "test"]
    fold_of: dict[str, int] = {}
    for label in sorted({sample.label for sample in pool}):
        keys = {_key(sample) for sample in pool if sample.label == label}
        if len(keys) < num_folds:
            raise DataError(f"{num_folds} folds need {num_folds} photos of {label!r} or more")
        for place, key in enumerate(sorted(keys, key=lambda key: rank(seed, key))):
            fold_of.setdefault(key, place % num_folds)
    return [
        Manifest(
            tuple(
                replace(sample, split="val" if fold_of[_key(sample)] == fold else "train")
                for sample in pool
            )
        )
        for fold in range(num_folds)
    ]


def fill_splits(manifest: Manifest, shares: tuple[float, float, float], seed: int) -> Manifest:
    """Return the manifest with every row in a split; rows that have one keep it.

    So photos that are added later do not move the others. Rows of one group share a split; if some
    have a split already, the rest follow them.

    Args:
        manifest: the photos.
        shares: of train, val and test.
        seed: decides the order.
    """
    return _draw(manifest, "", dict(zip(SPLITS, shares, strict=True)), seed)


def legacy_splits(manifest: Manifest, train_share: float) -> Manifest:
    """Divide as the 55-class report does: of each class the first rows train, the others test.

    Neither random nor aware of copies; for comparison with figures made that way.
    """
    sizes, seen = manifest.counts, dict.fromkeys(manifest.class_names, 0)
    rows = []
    for sample in manifest:
        first = seen[sample.label] < int(sizes[sample.label] * train_share)
        seen[sample.label] += 1
        rows.append(replace(sample, split="train" if first else "test"))
    return Manifest(tuple(rows))


def parse_ratios(text: str) -> tuple[float, float, float]:
    """Read the parts of train, val and test: "70/13/17", "3:1:1"; "90/10" has no validation.

    Raises:
        UsageError: the text has another form.
    """
    parts = re.split("[/:,]", text)
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) == 2:
        numbers.insert(1, 0.0)
    total = sum(numbers)
    usable = len(numbers) == 3 and min(numbers) >= 0 and numbers[0] > 0 and math.isfinite(total)
    if not usable:
        raise UsageError(f"ratios must look like 70/13/17, 3:1:1 or 90/10, not {text!r}")
    return numbers[0] / total, numbers[1] / total, numbers[2] / total


def read_lists(options: Sequence[str]) -> dict[str, list[str]]:
    """Read lists of file names, each given as "SPLIT=FILE"; of a line the first word counts.

    Raises:
        UsageError: no such split, or a list that cannot be read.
    """
    lists: dict[str, list[str]] = {}
    for option in options:
        split, _, name = option.partition("=")
        if split not in SPLITS or not name:
            raise UsageError(f"--list takes SPLIT=FILE with train, val or test, not {option!r}")
        text = read_text(Path(name))
        lists[split] = [line.split()[0] for line in re.split(r"\r\n|\r|\n", text) if line.strip()]
    return lists


def listed_splits(manifest: Manifest, lists: Mapping[str, Sequence[str]]) -> Manifest:
    """Take the splits from lists of file names; photos in no list are left out.

    Args:
        manifest: the photos.
        lists: for each split the names, with as many of their folders as it takes to be clear.

    Raises:
        DataError: a name fits no photo, or several.
    """
    by_name: dict[str, list[int]] = defaultdict(list)
    for row, sample in enumerate(manifest):
        by_name[sample.path.name].append(row)
    chosen: dict[int, str] = {}
    for split, names in lists.items():
        for name in names:
            parts = Path(name).parts
            fits = [
                row
                for row in by_name.get(parts[-1] if parts else "", ())
                if manifest.samples[row].path.parts[-len(parts) :] == parts
            ]
            if len(fits) != 1:
                raise DataError(
                    f"the list for {split!r} names {name!r}, which matches {len(fits)} photos"
                )
            if chosen.setdefault(fits[0], split) != split:
                raise DataError(f"{name!r} is listed for both {chosen[fits[0]]!r} and {split!r}")
    return Manifest(tuple(replace(manifest.samples[r], split=chosen[r]) for r in sorted(chosen)))


def find_leaks(manifest: Manifest) -> list[tuple[Sample, Sample]]:
    """Return pairs of rows of one group that are in different splits, in the order of the rows."""
    leaks = []
    first: dict[str, dict[str, Sample]] = defaultdict(dict)  # by group and split
    for sample in manifest:
        if sample.group and sample.split:
            sides = first[sample.group]
            leaks += [(other, sample) for split, other in sides.items() if split != sample.split]
            sides.setdefault(sample.split, sample)
    return leaks


def _draw(manifest: Manifest, source: str, shares: dict[str, float], seed: int) -> Manifest:
    """Divide the rows whose split is `source`, in an order drawn from the seed.

    Each label of each domain is divided separately.
    """
    # The same picture under two labels is one photo: its first row decides.
    chosen = {} if source else {_key(s): s.split for s in reversed(manifest.samples) if s.split}
    cells: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    for sample in manifest:
        cells[sample.domain, sample.label].append(sample)
    for _, cell in sorted(cells.items()):
        sizes = Counter(_key(sample) for sample in cell if sample.split == source)
        if not sizes:
            continue
        kept = Counter(s.split for s in cell) if not source else Counter()
        total = sizes.total() + sum(kept[split] for split in SPLITS)
        wanted = {
            # Validation gets at least one of a class, where there are enough.
            "val": max(bool(shares["val"]), round(total * shares["val"])) * (total > 1)
            - kept["val"],
            "test": round(total * shares.get("test", 0)) * (total > 2) - kept["test"],
        }
        order = sorted(sizes.keys() - chosen.keys(), key=lambda key: rank(seed, key))
        for key in sizes.keys() & chosen.keys():
            if chosen[key] in wanted:
                wanted[chosen[key]] -= sizes[key]
        for key in order:
            fitting = (split for split, left in wanted.items() if sizes[key] <= left)
            chosen[key] = next(fitting, "train")
            if chosen[key] in wanted:
                wanted[chosen[key]] -= sizes[key]
        in_train = [key for key in order if chosen[key] == "train"]
        has_val = kept["val"] or "val" in {chosen[key] for key in sizes}
        if shares["val"] and not has_val and len(in_train) > 1:
            chosen[min(in_train, key=lambda key: sizes[key])] = "val"
    return Manifest(
        tuple(replace(s, split=chosen[_key(s)]) if s.split == source else s for s in manifest)
    )


def _key(sample: Sample) -> str:
    return sample.group or sample.sha256 or sample.path.as_posix()
