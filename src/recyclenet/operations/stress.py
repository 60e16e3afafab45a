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
from recyclenet.data.label_map import LabelMaps, relabelled_all
from recyclenet.data.manifest import Manifest, Sample
from recyclenet.errors import DataError, ModelFileError, RecycleNetError, UsageError
from recyclenet.evaluation.changes import CHANGES, Change, shrunk
from recyclenet.evaluation.metrics import wilson_interval
from recyclenet.evaluation.paired import Paired
from recyclenet.inference.classifier import Classifier, as_classifier

_VARIANTS = tuple((change, strength) for change in CHANGES for strength in change.strengths)


@dataclass(frozen=True, eq=False, kw_only=True)
class StressRow:
    """The result of one change at one strength.

    Attributes:
        change: what was changed.
        strength: how much, as text.
        paired: the untouched photos (first) against the changed ones (second).
        example: the first photo, changed, `(H, W, 3)` uint8.
    """

    change: Change
    strength: str
    paired: Paired
    example: ImageArray

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
        problems: one error for each photo without answers.
    """

    name: str
    split: str
    num_photos: int
    num_right: int
    rows: tuple[StressRow, ...]
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
        return [(change, [row for row in self.rows if row.change is change]) for change in CHANGES]

    def to_row(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "name": self.name,
            "split": self.split,
            "num_photos": self.num_photos,
            "num_unanswered": len(self.problems),
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
    seed: int = 0,
    names: Sequence[str] | None = None,
    progress: Progress = silent,
) -> Stress:
    """Measure a classifier on photos that are changed as photos in use differ.

    Args:
        data: a folder of class folders, a CSV manifest, or a loaded dataset.
        model: a model file or a classifier; None for the model in the package.
        split: "train", "val", "test" or "all"; None for the test photos where there are some, and
            for all photos otherwise. It is for `data`; `also` always gets the default.
        also: a second dataset, such as photos from another source.
        maps: label maps for the photos of both, as for `evaluate`.
        limit: use at most so many photos of each dataset, evenly spaced; None for all.
        seed: of what is random in the changes.
        names: of the datasets, for reports; None for those of their files.
        progress: reports the photos done.

    Raises:
        UsageError: there is no such dataset, split or model file, the limit is below 1, or a map
            names what does not occur.
        DataError: a label is unknown to the model, or no photo can be read.
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
    sets = tuple(
        _stressed(classifier, manifest, name, part, seed, progress)
        for manifest, name, part in zip(chosen, names, splits, strict=True)
    )
    return Stress(sets, classifier.info, seed)


def _stressed(
    classifier: Classifier, manifest: Manifest, name: str, split: str, seed: int, progress: Progress
) -> StressedSet:
    problems: list[RecycleNetError] = []
    read: list[Sample] = []
    examples: list[ImageArray] = []

    def images() -> Iterator[ImageArray]:
        for sample in manifest:
            try:
                image = classifier.decode(sample.path)
            except RecycleNetError as error:
                problems.append(error)
                continue
            read.append(sample)
            yield image
            small = shrunk(image, classifier.info.preprocess.min_side)
            for change, strength in _VARIANTS:
                changed = change(small, strength, sample, seed)
                if len(read) == 1:
                    examples.append(thumbnail(changed))
                yield changed

    right: list[list[bool]] = []
    names = classifier.info.class_names
    answers = classifier.outputs_many(images())
    num_done = 0
    while chunk := list(islice(answers, 1 + len(_VARIANTS))):
        sample = read[num_done]
        num_done += 1
        errors = [error for _, _, error in chunk if error is not None]
        if errors:
            problems.append(ModelFileError(f"{show_path(sample.path)}: {errors[0]}"))
        else:
            predicted = (int(outputs.logits.argmax()) for _, outputs, _ in chunk if outputs)
            right.append([names[number] == sample.label for number in predicted])
        progress(num_done, len(manifest), f"stressing {name}")
    if not right:
        raise DataError(
            f"none of the {len(manifest)} photos can be read; first error: {problems[0]}"
        )
    untouched, *changed = np.array(right).T
    return StressedSet(
        name=name,
        split=split,
        num_photos=len(right),
        num_right=int(untouched.sum()),
        rows=tuple(
            StressRow(
                change=change,
                strength=change.show(strength),
                paired=Paired.count(untouched, column),
                example=example,
            )
            for (change, strength), column, example in zip(
                _VARIANTS, changed, examples, strict=True
            )
        ),
        problems=tuple(problems),
    )
