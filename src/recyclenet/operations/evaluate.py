"""Evaluating a classifier on labelled photos."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from recyclenet.core.files import write_text
from recyclenet.core.model_info import ModelInfo
from recyclenet.core.pages import thumbnail
from recyclenet.core.progress import Progress, silent
from recyclenet.core.taxonomy import Rules
from recyclenet.data.dataset import as_manifest
from recyclenet.data.manifest import Manifest
from recyclenet.evaluation.bins import BinScores, score_bins
from recyclenet.evaluation.metrics import Scores, most_wrong
from recyclenet.evaluation.predict import predict
from recyclenet.evaluation.report import Card, evaluation_page
from recyclenet.evaluation.table import PredictionTable, write_predictions
from recyclenet.inference.classifier import Classifier, as_classifier

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
    """

    scores: Scores
    table: PredictionTable
    split: str
    classifier: Classifier
    name: str

    @property
    def accuracy(self) -> float:
        """Share of right answers, 0 to 1."""
        return self.scores.accuracy

    @property
    def info(self) -> ModelInfo:
        """What the model file says of itself."""
        return self.classifier.info

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
                        table.logits[row],
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
        return evaluation_page(self.scores, self.most_wrong, self.info, title)

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
    name: str | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Evaluate a classifier on labelled photos.

    Args:
        data: a folder of class folders, a CSV manifest, or a loaded dataset.
        model: a model file or a classifier; None for the model in the package.
        split: "train", "val", "test" or "all"; None for the test photos where there are some, and
            for all photos otherwise.
        tta: average over the mirrored photo, too.
        name: of the dataset, for reports; None for that of its file.
        progress: reports the photos done.

    Raises:
        UsageError: there is no such dataset, split or model file.
        DataError: a label is unknown to the model, or no photo can be read.
        ModelFileError: the model file is damaged or altered, or returned non-finite logits.
    """
    classifier = as_classifier(model, tta=tta)
    manifest = as_manifest(data)
    chosen = split or ("test" if any(sample.split == "test" for sample in manifest) else "all")
    table = predict(classifier, manifest.select(chosen), progress)
    scores = table.score(classifier.info.temperature, classifier.threshold)
    if name is None:
        name = "dataset" if isinstance(data, Manifest) else Path(data).name or str(data)
    return Evaluation(scores, table, chosen, classifier, name)
