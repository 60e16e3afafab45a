"""Evaluating a classifier on labelled photos."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recyclenet.core.files import write_text
from recyclenet.core.model_info import ModelInfo
from recyclenet.core.pages import thumbnail
from recyclenet.core.progress import Progress, silent
from recyclenet.core.taxonomy import Rules
from recyclenet.data.dataset import as_manifest
from recyclenet.data.folders import LeftOut
from recyclenet.data.label_map import LabelMaps, left_out_notes, map_labels
from recyclenet.data.manifest import Manifest
from recyclenet.data.pictures import find_negatives
from recyclenet.errors import UsageError
from recyclenet.evaluation.bins import BinScores, score_bins
from recyclenet.evaluation.merging import merged_logits, merged_names
from recyclenet.evaluation.metrics import Scores, most_wrong
from recyclenet.evaluation.open_set import OpenSetScores, score_open_set
from recyclenet.evaluation.predict import predict
from recyclenet.evaluation.report import Card, evaluation_page
from recyclenet.evaluation.table import PredictionTable, write_predictions
from recyclenet.inference.classifier import Classifier, as_classifier

_log = logging.getLogger(__name__)
NUM_WORST = 24


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How a classifier did on labelled photos.

    Attributes:
        scores: the figures.
        table: the logits behind them, photo by photo.
        split: which photos: "train", "val", "test" or "all".
        classifier: what was evaluated.
        name: of the dataset.
        answers: the model's own logits, `(N, K)`; `table` has those of merged classes, if any are.
        open_set: the figures of photos of other things; None without such photos.
    """

    scores: Scores
    table: PredictionTable
    split: str
    classifier: Classifier
    name: str
    answers: npt.NDArray[np.float32]
    open_set: OpenSetScores | None = None

    @property
    def accuracy(self) -> float:
        """Share of right answers, 0 to 1."""
        return self.scores.accuracy

    @property
    def info(self) -> ModelInfo:
        """What the model file says of itself."""
        return self.classifier.info

    @cached_property
    def by_domain(self) -> dict[str, Scores]:
        """The figures of each domain; empty if all photos are of one."""
        temperature, threshold = self.info.temperature, self.classifier.threshold
        return {
            domain: table.score(temperature, threshold)
            for domain, table in self.table.by_domain().items()
        }

    @cached_property
    def bins(self) -> BinScores | None:
        """How well the photos get into their bins; None if the classifier has no rules."""
        has_rules = self.classifier.rules != Rules()
        return score_bins(self.table, self.classifier) if has_rules else None

    @cached_property
    def most_wrong(self) -> list[Card]:
        """The photos with wrong answers, those with the least probable truth first."""
        table = self.table
        cards = []
        for row in most_wrong(table.logits, table.targets)[:NUM_WORST]:
            sample = table.samples[row]
            cards.append(
                Card(
                    prediction=self.classifier.answer(
                        sample.path,
                        self.answers[row],
                        None if table.unknown is None else table.unknown[row],
                    ),
                    image=thumbnail(self.classifier.decode(sample.path)),
                    truth=sample.label,
                )
            )
        return cards

    def page(self) -> str:
        """Return a self-contained HTML page with the figures and the most wrong photos."""
        title = f"{self.info.name} on {self.name}, {self.split}"
        return evaluation_page(self.scores, self.most_wrong, self.info, title, self.by_domain)

    def write_page(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file, atomically."""
        write_text(Path(path), self.page())

    def write_predictions(self, path: str | os.PathLike[str]) -> None:
        """Write every photo's logits as CSV, atomically."""
        write_predictions(Path(path), self.table)

    def __repr__(self) -> str:
        low, high = self.scores.interval
        return (
            f"Evaluation({self.name!r}, {self.split}: {self.scores.num_photos} photos, "
            f"accuracy {self.accuracy:.2%}, 95%: {low:.1%} to {high:.1%})"
        )

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return self.page()


def evaluate(
    data: str | os.PathLike[str] | Manifest,
    model: str | os.PathLike[str] | Classifier | None = None,
    *,
    split: str | None = None,
    tta: bool = False,
    maps: LabelMaps | None = None,
    model_map: Mapping[str, str] | None = None,
    negatives: Sequence[str | os.PathLike[str]] = (),
    name: str | None = None,
    left_out: LeftOut = lambda _: None,
    progress: Progress = silent,
) -> Evaluation:
    """Evaluate a classifier on labelled photos.

    Args:
        data: a folder of class folders, a CSV manifest, or a loaded dataset.
        model: a model file or a classifier; None for the model in the package.
        split: "train", "val", "test" or "all"; None for the test photos where there are some, and
            for all photos otherwise.
        tta: average over the mirrored photo, too.
        maps: label maps for the photos: domain, or "*" for all, to label to new label, or to "_" to
            leave the photos out.
        model_map: the model's class to another one whose probability it adds to, or to "_" for a
            class that is no answer for these photos.
        negatives: photos of things that are none of the classes, or folders of them.
        name: of the dataset, for reports; None for that of its file.
        left_out: is called with one line for each folder or file that is not searched.
        progress: reports the photos done.

    Raises:
        UsageError: there is no such dataset, split or model file, a map names what does not occur,
            the classifier has rules and its classes are mapped, or a negative does not exist.
        DataError: a label is unknown to the model, or no photo can be read.
        ModelFileError: the model file is damaged or altered, or returned non-finite logits.
    """
    classifier = as_classifier(model, tta=tta)
    mapping, info = model_map or {}, classifier.info
    if mapping and classifier.rules != Rules():
        raise UsageError("rules are for the model's own classes; omit the rules or the model's map")
    manifest = as_manifest(data)
    if maps:
        manifest, unmapped = map_labels(manifest, maps)
        for note in left_out_notes(unmapped):
            _log.info(note)
    others = find_negatives(negatives, left_out)
    chosen = split or ("test" if any(sample.split == "test" for sample in manifest) else "all")
    names = merged_names(info.class_names, mapping)
    own = predict(classifier, manifest.select(chosen), progress, names)
    logits = merged_logits(own.logits, info.class_names, mapping, info.temperature)
    table = replace(own, logits=logits, class_names=names)
    scores = table.score(info.temperature, classifier.threshold)
    open_set = None
    if others:
        open_set, problems = score_open_set(classifier, own, others, progress)
        table = replace(table, problems=(*table.problems, *problems))
    if name is None:
        name = "dataset" if isinstance(data, Manifest) else Path(data).name or str(data)
    return Evaluation(scores, table, chosen, classifier, name, own.logits, open_set)
