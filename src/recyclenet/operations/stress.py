"""Stress test: a classifier on photos that are turned, covered, blurred and so on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from recyclenet.core.files import write_text
from recyclenet.core.images import ImageArray
from recyclenet.core.model_info import ModelInfo
from recyclenet.core.pages import render_page, thumbnail
from recyclenet.core.progress import Progress, silent
from recyclenet.core.text import show_path
from recyclenet.data.dataset import as_manifest, dataset_name
from recyclenet.data.folders import LeftOut
from recyclenet.data.label_map import LabelMaps, relabelled_all
from recyclenet.data.manifest import Manifest, Sample, evenly
from recyclenet.data.pictures import find_photos
from recyclenet.errors import DataError, ImageError, ModelFileError, RecycleNetError, UsageError
from recyclenet.evaluation.backgrounds import background_change
from recyclenet.evaluation.changes import CHANGES, Change, shrunk
from recyclenet.evaluation.metrics import wilson_interval
from recyclenet.evaluation.paired import Paired
from recyclenet.inference.classifier import Classifier, as_classifier

# Backgrounds are held in memory.
_MOST_BACKGROUNDS = 50


@dataclass(frozen=True, eq=False)
class StressRow:
    """The result of one change at one strength.

    Attributes:
        change: what was changed.
        strength: how much, as text.
        paired: the untouched photos (first) against the changed ones (second).
        example: the first of the changed photos, `(H, W, 3)` uint8.
    """

    change: Change
    strength: str
    paired: Paired
    example: ImageArray

    @property
    def untouched(self) -> float:
        """Share of right answers for the same photos, untouched, 0 to 1."""
        return (self.paired.num_both + self.paired.num_first) / self.paired.num_photos

    @property
    def accuracy(self) -> float:
        """Share of right answers for the changed photos, 0 to 1."""
        return (self.paired.num_both + self.paired.num_second) / self.paired.num_photos

    @property
    def interval(self) -> tuple[float, float]:
        """95% Wilson interval of the accuracy."""
        return wilson_interval(
            self.paired.num_both + self.paired.num_second, self.paired.num_photos
        )

    def to_row(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "change": self.change.name,
            "strength": self.strength,
            "num_photos": self.paired.num_photos,
            "untouched": round(self.untouched, 6),
            "accuracy": round(self.accuracy, 6),
            "interval95": [round(bound, 6) for bound in self.interval],
            "difference": round(self.paired.difference, 6),
            "p_value": self.paired.p_value,
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class StressedSet:
    """The results on one dataset.

    Attributes:
        name: of the dataset.
        split: which photos: "train", "val", "test" or "all".
        num_photos: number of photos with answers.
        num_right: number of right answers for the untouched photos.
        rows: one for each change and strength.
        num_uncut: number of photos in which no object on a plain background was found; the rows of
            the change of the background are without them, and are missing if no photo is left.
        problems: one error for each photo without answers.
    """

    name: str
    split: str
    num_photos: int
    num_right: int
    rows: tuple[StressRow, ...]
    num_uncut: int
    problems: tuple[RecycleNetError, ...]

    @property
    def accuracy(self) -> float:
        """Share of right answers for the untouched photos, 0 to 1."""
        return self.num_right / self.num_photos

    @property
    def interval(self) -> tuple[float, float]:
        """95% Wilson interval of this accuracy."""
        return wilson_interval(self.num_right, self.num_photos)

    @property
    def by_change(self) -> list[tuple[Change, list[StressRow]]]:
        """The rows of each change."""
        changes = dict.fromkeys(row.change for row in self.rows)
        return [(change, [row for row in self.rows if row.change is change]) for change in changes]

    @property
    def uncut(self) -> str:
        """Say in how many photos no object was found to put on other backgrounds; empty if none."""
        if not self.num_uncut:
            return ""
        found = f"no object on a plain background found in {self.num_uncut} of {self.num_photos}"
        last = self.rows[-1]
        if self.num_uncut == self.num_photos:
            return f"background: {found} photos; not measured"
        return (
            f"background: {found} photos, which are left out; "
            f"accuracy on the other {last.paired.num_photos}, untouched: {last.untouched:.1%}"
        )

    def to_row(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "name": self.name,
            "split": self.split,
            "num_photos": self.num_photos,
            "num_unanswered": len(self.problems),
            "num_uncut": self.num_uncut,
            "accuracy": round(self.accuracy, 6),
            "interval95": [round(bound, 6) for bound in self.interval],
            "changes": [row.to_row() for row in self.rows],
        }


@dataclass(frozen=True, eq=False)
class Stress:
    """The results of a stress test.

    Attributes:
        sets: one for each dataset.
        info: the model's metadata.
        seed: of the changes.
    """

    sets: tuple[StressedSet, ...]
    info: ModelInfo
    seed: int

    def to_row(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "model": self.info.name,
            "seed": self.seed,
            "datasets": [found.to_row() for found in self.sets],
        }

    def page(self) -> str:
        """Return a self-contained HTML page with the accuracies and an example of each change."""
        return render_page("recyclenet.evaluation", "stress.html", stress=self, info=self.info)

    def write_page(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file, atomically."""
        write_text(Path(path), self.page())

    def __repr__(self) -> str:
        shown = "; ".join(
            f"{found.name}: {found.accuracy:.1%} untouched, "
            f"{min(row.accuracy for row in found.rows):.1%} at worst"
            for found in self.sets
        )
        return f"Stress({shown})"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return self.page()


def stress(
    data: str | os.PathLike[str] | Manifest,
    model: str | os.PathLike[str] | Classifier | None = None,
    *,
    split: str | None = None,
    also: str | os.PathLike[str] | Manifest | None = None,
    maps: LabelMaps | None = None,
    limit: int | None = None,
    backgrounds: Sequence[str | os.PathLike[str]] = (),
    seed: int = 0,
    names: Sequence[str] | None = None,
    left_out: LeftOut = lambda _: None,
    progress: Progress = silent,
) -> Stress:
    """Measure a classifier on photos that are changed in ways in which photos in use differ.

    Args:
        data: a folder of class folders, a CSV manifest, or a loaded dataset.
        model: a model file, a run folder or a classifier; None for the model in the package.
        split: "train", "val", "test" or "all"; None for the test photos where there are some, and
            for all photos otherwise. It is for `data`; `also` always gets the default.
        also: a second dataset, such as photos from another source.
        maps: label maps for the photos of both, as for `evaluate`.
        limit: use at most so many photos of each dataset, evenly spaced; None for all.
        backgrounds: photos to put objects on, or folders of them, of which at most 50 are used,
            evenly spaced; empty for generated backgrounds.
        seed: of what is random in the changes.
        names: of the datasets, for reports; None for those of their files.
        left_out: is called with one line for each background, or folder of them, that cannot be
            read.
        progress: reports the photos done.

    Raises:
        UsageError: there is no such dataset, split, model file or background, the limit is below
            1, or a map names what does not occur.
        DataError: a label is unknown to the model, no photo can be read, or no background can.
        ModelFileError: the model file is damaged or altered, or returned non-finite logits.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"the limit must be 1 or more photos, not {limit}")
    classifier = as_classifier(model)
    sources = [data] if also is None else [data, also]
    manifests = relabelled_all([as_manifest(source) for source in sources], maps)
    splits = [manifest.default_split for manifest in manifests]
    splits[0] = split or splits[0]
    chosen = [m.select(s).evenly(limit) for m, s in zip(manifests, splits, strict=True)]
    for manifest in chosen:
        manifest.check_labels(classifier.info.class_names)
    names = names or [dataset_name(source) for source in sources]
    changes = (*CHANGES, background_change(_read_backgrounds(classifier, backgrounds, left_out)))
    sets = tuple(
        _stressed(classifier, manifest, changes, name, part, seed, progress)
        for manifest, name, part in zip(chosen, names, splits, strict=True)
    )
    return Stress(sets, classifier.info, seed)


def _read_backgrounds(
    classifier: Classifier, places: Sequence[str | os.PathLike[str]], left_out: LeftOut
) -> list[ImageArray]:
    found: list[ImageArray] = []
    side = classifier.info.preprocess.min_side
    paths = find_photos(places, "photos of backgrounds", left_out)
    for path in evenly(paths, _MOST_BACKGROUNDS):
        try:
            image = classifier.decode(path)
        except ImageError as error:
            left_out(str(error))
        else:
            # A very long one is cut, so that 50 of them fit into memory.
            found.append(shrunk(image, side)[: 4 * side, : 4 * side].copy())
    if paths and not found:
        raise DataError(f"none of the {len(paths)} backgrounds can be read; choose others")
    return found


def _stressed(
    classifier: Classifier,
    manifest: Manifest,
    changes: Sequence[Change],
    name: str,
    split: str,
    seed: int,
    progress: Progress,
) -> StressedSet:
    variants = [(change, strength) for change in changes for strength in change.strengths]
    problems: list[RecycleNetError] = []
    # Each photo, with the variants that could be made of it.
    read: list[tuple[Sample, list[int]]] = []
    examples: dict[int, ImageArray] = {}

    def images() -> Iterator[ImageArray]:
        for sample in manifest:
            try:
                image = classifier.decode(sample.path)
            except RecycleNetError as error:
                problems.append(error)
                continue
            small = shrunk(image, classifier.info.preprocess.min_side)
            made, number = dict[int, ImageArray](), 0
            for change in changes:
                made.update(enumerate(change(small, sample, seed), number))
                number += len(change.strengths)
            for number in made.keys() - examples.keys():
                examples[number] = thumbnail(made[number])
            read.append((sample, list(made)))
            yield image
            yield from made.values()

    right: list[list[float]] = []
    names = classifier.info.class_names
    answers = classifier.outputs_many(images())
    num_done = 0
    while untouched := next(answers, None):
        sample, made = read[num_done]
        num_done += 1
        chunk = [untouched, *islice(answers, len(made))]
        errors = [error for _, _, error in chunk if error is not None]
        if errors:
            problems.append(ModelFileError(f"{show_path(sample.path)}: {errors[0]}"))
        else:
            predicted = [int(outputs.logits.argmax()) for _, outputs, _ in chunk if outputs]
            is_right = [float(names[number] == sample.label) for number in predicted]
            found = dict(zip([-1, *made], is_right, strict=True))
            right.append([found.get(number, np.nan) for number in range(-1, len(variants))])
        progress(num_done, len(manifest), f"stressing {name}")
    if not right:
        raise DataError(
            f"none of the {len(manifest)} photos can be read; first error: {problems[0]}"
        )
    whole, *columns = np.array(right).T
    rows = []
    for number, ((change, strength), column) in enumerate(zip(variants, columns, strict=True)):
        if (there := ~np.isnan(column)).any():
            paired = Paired.count(whole[there] == 1, column[there] == 1)
            rows.append(StressRow(change, strength, paired, examples[number]))
    return StressedSet(
        name=name,
        split=split,
        num_photos=len(right),
        num_right=int(whole.sum()),
        rows=tuple(rows),
        num_uncut=int(np.isnan(right).any(axis=1).sum()),
        problems=tuple(problems),
    )
