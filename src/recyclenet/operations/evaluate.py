"""Evaluating a classifier on labelled photos."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recyclenet.core.decision import softmax
from recyclenet.core.files import generator, write_text
from recyclenet.core.images import ImageArray, ImageSource, read_header
from recyclenet.core.model_info import ModelInfo
from recyclenet.core.pages import thumbnail
from recyclenet.core.progress import Progress, silent
from recyclenet.core.taxonomy import Rules
from recyclenet.data.dataset import as_manifest, dataset_name
from recyclenet.data.folders import LeftOut
from recyclenet.data.label_map import LabelMaps, relabelled
from recyclenet.data.manifest import Manifest
from recyclenet.data.pictures import find_photos
from recyclenet.data.quality.looks import Looks, measure_looks
from recyclenet.errors import ImageError, ModelFileError, UsageError
from recyclenet.evaluation.analysis import Analysis, Answer, answers, calibration, risk_curve
from recyclenet.evaluation.bins import BinScores, score_bins
from recyclenet.evaluation.merging import merged_logits, merged_names
from recyclenet.evaluation.metrics import Scores
from recyclenet.evaluation.open_set import OpenSetScores, score_open_set
from recyclenet.evaluation.predict import predict
from recyclenet.evaluation.report import Photo, evaluation_page
from recyclenet.evaluation.slices import Slice, by_name, by_thirds
from recyclenet.evaluation.suspects import overlap
from recyclenet.evaluation.table import PredictionTable, write_predictions
from recyclenet.inference.classifier import Classifier, as_classifier
from recyclenet.operations.explain import explain

_log = logging.getLogger(__name__)
NUM_PHOTOS = 60
_THIRDS = {
    "brightness": ("dark", "middle", "bright"),
    "size": ("small", "middle", "large"),
    "blur": ("sharp", "middle", "blurred"),
}


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
        dataset: the photos of all splits.
        mapping: the model's class to merged class.
        looks: path to how the photo looks; empty if not measured.
        open_set: the figures of photos of other things; None without such photos.
    """

    scores: Scores
    table: PredictionTable
    split: str
    classifier: Classifier
    name: str
    answers: npt.NDArray[np.float32]
    dataset: Manifest = field(default_factory=lambda: Manifest(()))
    mapping: Mapping[str, str] = field(default_factory=dict)
    looks: Mapping[Path, Looks] = field(default_factory=dict)
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
    def probabilities(self) -> npt.NDArray[np.float64]:
        """The calibrated probabilities, `(N, K)`."""
        return softmax(self.table.logits, self.info.temperature)

    @cached_property
    def slices(self) -> dict[str, list[Slice]]:
        """The accuracy on parts of the photos, by what divides them.

        "stream" counts right classes, "right_stream" answers of the right stream.
        """
        targets, predicted = self.table.targets, self.probabilities.argmax(1)
        right = predicted == targets
        found: dict[str, list[Slice]] = {}
        if not self.mapping:  # merged classes have no stream
            streams = np.array([self.classifier.streams[name] for name in self.table.class_names])
            found["stream"] = by_name(streams[targets].tolist(), right)
            right_stream = streams[predicted] == streams[targets]
            found["right_stream"] = by_name(streams[targets].tolist(), right_stream)
        looks = [self.looks.get(sample.path) for sample in self.table.samples]
        measures = {
            "brightness": [one and one.brightness for one in looks],
            "size": [one and one.megapixels for one in looks],
            "blur": [one and one.blur for one in looks],
        }
        for kind, values in measures.items():
            found[kind] = by_thirds(np.array(values, np.float64), right, _THIRDS[kind])
        return {kind: parts for kind, parts in found.items() if parts}

    def analysis(self, min_confused: int = 1) -> Analysis:
        """Return every number of the report.

        Args:
            min_confused: leave out pairs of classes that are confused less often.
        """
        info, table = self.info, self.table
        before = merged_logits(self.answers, info.class_names, self.mapping, 1.0)
        worst, suspects = answers(table, info.temperature, self.classifier.threshold)
        evaluated = [sample for sample in table.samples if sample.split != "train"]
        training = [sample for sample in self.dataset if sample.split == "train"]
        return Analysis(
            scores=self.scores,
            calibration=calibration(
                self.probabilities, softmax(before), table.targets, info.temperature
            ),
            risk=risk_curve(table, self.probabilities),
            by_domain=self.by_domain,
            bins=self.bins,
            open_set=self.open_set,
            slices=self.slices,
            suspects=suspects,
            worst=worst,
            overlap=overlap(evaluated, training),
            num_training=len(table.samples) - len(evaluated),
            min_confused=min_confused,
        )

    def page(
        self,
        num_photos: int = NUM_PHOTOS,
        *,
        num_heatmaps: int = 0,
        min_confused: int = 1,
        progress: Progress = silent,
    ) -> str:
        """Return a self-contained HTML page with the figures and the worst photos.

        Args:
            num_photos: show at most so many photos with wrong or doubtful answers.
            num_heatmaps: so many of them get a heatmap; each takes as long as 80 answers.
            min_confused: leave out pairs of classes that are confused less often.
            progress: reports the pictures done.
        """
        found = self.analysis(min_confused)
        photos = []
        for number, answer in enumerate(found.worst[:num_photos]):
            photos.append(self._photo(answer, number < num_heatmaps))
            progress(number + 1, min(num_photos, len(found.worst)), "pictures")
        title = f"{self.info.name} on {self.name}, {self.split}"
        return evaluation_page(found, photos, self.info, title)

    def _photo(self, answer: Answer, is_heated: bool) -> Photo:
        try:
            image = thumbnail(self.classifier.decode(answer.path))
        except ImageError:  # it was readable before
            return Photo(answer)
        heatmap = None
        if is_heated:
            try:
                heatmap = explain(answer.path, self.classifier).overlay
            except (ImageError, ModelFileError) as error:
                _log.warning("no heatmap: %s", error)
        return Photo(answer, image, heatmap)

    def write_page(
        self,
        path: str | os.PathLike[str],
        num_photos: int = NUM_PHOTOS,
        *,
        num_heatmaps: int = 0,
        min_confused: int = 1,
        progress: Progress = silent,
    ) -> None:
        """Write the page to a file, atomically; the arguments are those of `page`."""
        page = self.page(
            num_photos, num_heatmaps=num_heatmaps, min_confused=min_confused, progress=progress
        )
        write_text(Path(path), page)

    def to_row(self) -> dict[str, Any]:
        """Return the metrics as plain values for JSON."""
        problems = self.table.problems
        num_unanswered = sum(isinstance(problem, ModelFileError) for problem in problems)
        row = {
            "model": self.info.name,
            "data": self.name,
            "split": self.split,
            "tta": self.classifier.tta,
            "num_unreadable": len(problems) - num_unanswered,
            "num_unanswered": num_unanswered,
            **self.scores.to_row(),
            "by_domain": {name: scores.figures() for name, scores in self.by_domain.items()},
        }
        if self.open_set is not None:
            row["negatives"] = self.open_set.to_row()
        if self.bins is not None:
            row["bins"] = self.bins.to_row()
        if self.classifier.risk is not None:
            found = 1 - self.scores.known_accuracy if self.scores.coverage else None
            row["risk"] = {
                **self.classifier.risk.to_row(),
                "coverage": round(self.scores.coverage, 6),
                "risk": None if found is None else round(found, 6),
            }
        return row

    def write_metrics(self, path: str | os.PathLike[str], min_confused: int = 1) -> None:
        """Write every number of the page as JSON, atomically.

        Args:
            path: the file.
            min_confused: leave out pairs of classes that are confused less often.
        """
        row = {"generator": generator(), **self.to_row(), **self.analysis(min_confused).to_row()}
        # ASCII, since a file name may have bytes that are not text.
        write_text(Path(path), json.dumps(row, indent=1, allow_nan=False) + "\n")

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
    measure: bool = True,
    progress: Progress = silent,
) -> Evaluation:
    """Evaluate a classifier on labelled photos.

    Args:
        data: a folder of class folders, a CSV manifest, or a loaded dataset.
        model: a model file, a run folder or a classifier; None for the model in the package.
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
        measure: also measure the brightness, size and blur of each photo, for the report.
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
    manifest = relabelled(as_manifest(data), maps)
    others = find_photos(negatives, "photos of other things", left_out)
    chosen = split or manifest.default_split
    names = merged_names(info.class_names, mapping)
    photos = manifest.select(chosen)
    measuring = _Measuring({s.path: s.width * s.height for s in photos}) if measure else None
    own = predict(classifier, photos, progress, names, measuring)
    logits = merged_logits(own.logits, info.class_names, mapping, info.temperature)
    table = replace(own, logits=logits, class_names=names)
    open_set = None
    if others:
        open_set, problems = score_open_set(classifier, own, others, progress)
        table = replace(table, problems=(*table.problems, *problems))
    return Evaluation(
        table.score(info.temperature, classifier.threshold),
        table,
        chosen,
        classifier,
        dataset_name(data) if name is None else name,
        own.logits,
        manifest,
        mapping,
        measuring.found if measuring else {},
        open_set,
    )


@dataclass(frozen=True)
class _Measuring:
    """Measures photos while they are decoded, in several threads.

    Attributes:
        num_pixels: of each photo as the dataset says; 0 if unknown.
        found: path to looks.
    """

    num_pixels: Mapping[Path, int]
    found: dict[Path, Looks] = field(default_factory=dict)

    def __call__(self, source: ImageSource, image: ImageArray) -> None:
        path = Path(str(source))
        self.found[path] = measure_looks(image, self.num_pixels.get(path) or _num_pixels(path))


def _num_pixels(path: Path) -> int:
    """Return the number of pixels of a photo as it was taken; 0 if unknown."""
    try:
        header = read_header(path.read_bytes())
    except (OSError, ImageError):
        return 0
    return header.width * header.height
