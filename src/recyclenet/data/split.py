"""Dividing a dataset into training, validation and test photos."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import replace

from recyclenet.data.manifest import SPLITS, Manifest, Sample
from recyclenet.errors import DataError, UsageError

RATIOS = {"train": 0.70, "val": 0.13, "test": 0.17}


def with_splits(
    manifest: Manifest, seed: int, shares: tuple[float, float, float] | None = None
) -> Manifest:
    """Return the manifest with every row in a split; splits that are there are kept.

    With `shares` of train, val and test, all splits are drawn anew instead.

    A dataset without splits is divided 70/13/17. One with training but no validation photos gives
    up part of its training photos. Stratified by label; the same photos and seed give the same
    splits; files with the same bytes stay together.

    Raises:
        DataError: some rows have a split and some have none, or none is for training.
    """
    if shares is not None:
        blank = Manifest(tuple(replace(sample, split="") for sample in manifest))
        return _draw(blank, "", dict(zip(SPLITS, shares, strict=True)), seed)
    present = {sample.split for sample in manifest}
    if present == {""}:
        return _draw(manifest, "", RATIOS, seed)
    if "" in present:
        raise DataError(
            "some rows have a split and some have none; fill the column or leave it out"
        )
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
        for place, key in enumerate(sorted(keys, key=lambda key: _rank(seed, key))):
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


def _draw(manifest: Manifest, source: str, shares: dict[str, float], seed: int) -> Manifest:
    """Divide the rows whose split is `source`, label by label, in an order drawn from the seed."""
    keys: dict[str, set[str]] = defaultdict(set)
    for sample in manifest:
        if sample.split == source:
            keys[sample.label].add(_key(sample))
    chosen: dict[str, str] = {}
    for _, distinct in sorted(keys.items()):
        order = sorted(distinct, key=lambda key: _rank(seed, key))
        # Each split but the last gets at least one of a class, where there are enough.
        num_val = max(1, round(len(order) * shares["val"])) if len(order) > 1 else 0
        num_test = round(len(order) * shares.get("test", 0.0)) if len(order) > 2 else 0
        for place, key in enumerate(order):
            split = SPLITS[1] if place < num_val else SPLITS[2]
            # The same bytes under two labels are one photo: the first label decides.
            chosen.setdefault(key, split if place < num_val + num_test else SPLITS[0])
    return Manifest(
        tuple(
            replace(sample, split=chosen[_key(sample)]) if sample.split == source else sample
            for sample in manifest
        )
    )


def _rank(seed: int, key: str) -> bytes:
    return hashlib.sha256(f"{seed}\t{key}".encode(errors="surrogateescape")).digest()


def _key(sample: Sample) -> str:
    return sample.sha256 or sample.path.as_posix()
