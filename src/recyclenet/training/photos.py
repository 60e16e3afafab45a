"""Select the photos of a dataset that a run can train on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from recyclenet.core.images import decode_image
from recyclenet.core.progress import Progress, silent
from recyclenet.core.resources import num_cores
from recyclenet.data.manifest import Manifest, Sample, file_digest
from recyclenet.data.splits.split import with_splits
from recyclenet.errors import DataError, ImageError
from recyclenet.training.recipe import Recipe

_log = logging.getLogger(__name__)
_NUM_NAMED = 10


def check_photos(manifest: Manifest, recipe: Recipe, progress: Progress = silent) -> Manifest:
    """Return the readable photos, with splits and digests.

    Raises:
        DataError: no photo can be read, there is only one class, a class has no training photo, or
            there is no validation photo.
    """
    manifest = with_splits(drop_unreadable(manifest, progress), recipe.fit.seed, recipe.split)
    check_trainable(manifest)
    return manifest


def check_trainable(manifest: Manifest) -> None:
    """Check that photos with splits suffice for training.

    Raises:
        DataError: there is only one class, or a class has no training photo.
        UsageError: there is no training or no validation photo.
    """
    names = manifest.class_names
    if len(names) < 2:
        raise DataError(
            f"training needs photos of two or more classes, not only {names[0]!r}; put the photos "
            f"of each class in a folder of its own"
        )
    missing = set(names) - set(manifest.select("train").class_names)
    if missing:
        raise DataError(f"no training photo of {', '.join(sorted(missing))}; add photos or splits")
    manifest.select("val")  # raises if the validation split is empty


def drop_unreadable(manifest: Manifest, progress: Progress = silent) -> Manifest:
    """Decode every photo once, leave out and log unreadable ones, and add digests.

    Raises:
        DataError: no photo can be read.
    """

    def check(sample: Sample) -> Sample | str:
        try:
            decode_image(sample.path, min_side=64)
            return replace(sample, sha256=sample.sha256 or file_digest(sample.path))
        except (ImageError, OSError) as error:
            return str(error)

    good: list[Sample] = []
    bad: list[str] = []
    with ThreadPoolExecutor(num_cores()) as pool:
        for done, result in enumerate(pool.map(check, manifest), start=1):
            if isinstance(result, Sample):
                good.append(result)
            else:
                bad.append(result)
            progress(done, len(manifest), "checking photos")
    log_left_out(bad, len(manifest))
    if not good:
        raise DataError(f"none of the {len(manifest)} photos can be read; first error: {bad[0]}")
    return Manifest(tuple(good))


def log_left_out(reasons: Sequence[object], num_photos: int) -> None:
    """Log which photos could not be read; the first few by name."""
    for reason in reasons[:_NUM_NAMED]:
        _log.warning("left out: %s", reason)
    if reasons:
        _log.warning("left out %d unreadable photos of %d", len(reasons), num_photos)
