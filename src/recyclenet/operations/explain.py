"""Explaining which part of a picture an answer rests on."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recyclenet.core.decision import softmax
from recyclenet.core.images import ImageArray, ImageSource
from recyclenet.core.prediction import Prediction
from recyclenet.evaluation.report import Card, answers_page
from recyclenet.explanation.occlusion import Heatmap, occlusion_heatmap
from recyclenet.explanation.overlay import overlay
from recyclenet.inference.classifier import Classifier, as_classifier


@dataclass(frozen=True, eq=False)
class Explanation:
    """An answer and what it rests on.

    Attributes:
        prediction: the answer.
        label: the class that the heatmap is about.
        picture: what the model saw, `(S, S, 3)` uint8.
        heatmap: `(S, S)` float32 in [0, 1], larger where the picture speaks for `label`.
        classifier: what was asked.
    """

    prediction: Prediction
    label: str
    picture: ImageArray
    heatmap: Heatmap
    classifier: Classifier

    @property
    def overlay(self) -> ImageArray:
        """The picture with what matters coloured, `(S, S, 3)` uint8."""
        return overlay(self.picture, self.heatmap)

    def card(self, truth: str | None = None) -> Card:
        """Return the explanation as one picture of a page.

        Args:
            truth: the true label, if it is known.
        """
        return Card(
            prediction=self.prediction, image=self.picture, heatmap=self.overlay, truth=truth
        )

    def __repr__(self) -> str:
        return f"Explanation({self.label!r} in {self.prediction!r})"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return answers_page([self.card()], self.classifier.info)


def explain(
    picture: ImageSource,
    model: str | os.PathLike[str] | Classifier | None = None,
    *,
    label: str | None = None,
    grid: int = 8,
) -> Explanation:
    """Return a heatmap of what an answer rests on, by hiding one patch after another.

    Args:
        picture: a path, the bytes of a picture file, a Pillow image or a uint8 array.
        model: a model file or a classifier; None for the model in the package.
        label: the class to explain; None for the most probable one.
        grid: cells along a side of the heatmap.

    Raises:
        ImageError: the picture cannot be read.
        UsageError: there is no such model file, or it has no such class.
        ModelFileError: the model file is damaged or altered, or returned non-finite logits.
    """
    classifier = as_classifier(model)
    prediction = classifier.classify(picture)
    info = classifier.info
    chosen = label or str(prediction.label)
    index = info.class_index(chosen)

    def probability(batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        return softmax(classifier.logits(batch), info.temperature)[:, index]

    image = classifier.decode(picture)
    heatmap = occlusion_heatmap(image, info.preprocess, probability, grid=grid)
    return Explanation(prediction, chosen, info.preprocess.resize(image), heatmap, classifier)
