"""Explaining which part of a picture an answer rests on."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recyclenet.core.decision import softmax
from recyclenet.core.extras import require_train
from recyclenet.core.images import MAX_PIXELS, ImageArray, ImageSource
from recyclenet.core.model_info import ModelInfo
from recyclenet.core.pages import render_page
from recyclenet.core.prediction import Prediction
from recyclenet.core.text import show_path
from recyclenet.errors import ImageError, ModelFileError, UsageError, look_up
from recyclenet.evaluation.report import Card
from recyclenet.explanation.deletion import Deletion, measure_deletion
from recyclenet.explanation.figure import figure
from recyclenet.explanation.heatmap import Heatmap, to_heatmap
from recyclenet.explanation.occlusion import occlusion_heatmap
from recyclenet.explanation.overlay import overlay
from recyclenet.inference.classifier import Classifier

# What a heatmap of each method shows, for people.
METHODS = {
    "occlusion": "hiding the coloured regions lowers the probability of the class",
    "feature-map": "the last feature map is large in the coloured regions, for any class",
    "gradcam": "the last feature map speaks for the class in the coloured regions (Grad-CAM)",
}


@dataclass(frozen=True, eq=False)
class Explanation:
    """An answer and what it rests on.

    Attributes:
        prediction: the answer.
        label: the class that the heatmap is about.
        picture: what the model saw, `(S, S, 3)` uint8.
        heatmap: `(S, S)` float32 in [0, 1], larger where the picture speaks for `label`.
        classifier: what was asked.
        method: a key of `METHODS`.
    """

    prediction: Prediction
    label: str
    picture: ImageArray
    heatmap: Heatmap
    classifier: Classifier
    method: str = "occlusion"

    @property
    def overlay(self) -> ImageArray:
        """The picture with what matters coloured, `(S, S, 3)` uint8."""
        return overlay(self.picture, self.heatmap)

    @cached_property
    def deletion(self) -> Deletion:
        """How faithful the heatmap is; the first use runs the model 56 times."""
        index = self.classifier.info.class_index(self.label)
        return measure_deletion(
            self.picture,
            self.heatmap,
            self.classifier.info.preprocess,
            lambda batch: _probability(self.classifier, batch, index),
        )

    def to_row(self) -> dict[str, Any]:
        """Return plain values for JSON: the answer, method, class and deletion score."""
        return {
            **self.prediction.to_row(),
            "method": self.method,
            "explains": self.label,
            "deletion": round(self.deletion.score, 6),
            "deletion_random": round(self.deletion.random, 6),
        }

    def card(self, truth: str | None = None, notes: Sequence[str] = ()) -> Card:
        """Return the explanation as one picture of a page.

        Args:
            truth: the true label, if it is known.
            notes: further lines of text.
        """
        return Card(
            prediction=self.prediction,
            image=self.picture,
            heatmap=self.overlay,
            truth=truth,
            notes=tuple(notes),
        )

    def __repr__(self) -> str:
        return f"Explanation({self.label!r} in {self.prediction!r})"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return explanations_page([[self.card()]], [self.classifier.info], self.method)


class Explainer:
    """Explains the answers of one model.

    Args:
        model: a model file, a run folder or a classifier; None for the model in the package.
        method: "occlusion" for any model; "feature-map" or "gradcam" for a run folder, with
            PyTorch.
        grid: cells along a side of the heatmap, for "occlusion".
        max_pixels: refuse photos with more pixels; for a classifier, its own limit applies.

    Attributes:
        classifier: gives the answers.
        info: the model's metadata.
        method: as given.

    Raises:
        UsageError: there is no such model or method, or the method needs a run folder.
        ModelFileError: the model file or the checkpoint is damaged or altered.
        MissingExtraError: the method needs PyTorch, which is not installed.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Classifier | None = None,
        method: str = "occlusion",
        *,
        grid: int = 8,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        look_up(method, METHODS, "method")
        folder = None
        if isinstance(model, str | os.PathLike) and os.path.isdir(model):  # noqa: PTH112
            folder = Path(model)
        self.method = method
        if method != "occlusion":
            if folder is None:
                name = "a model file" if model is None else show_path(_name(model))
                raise UsageError(
                    f"the method {method} needs the PyTorch network of a run folder, not {name}; "
                    f"give --model RUN, or use --method occlusion"
                )
            require_train(f"the method {method}")
        if isinstance(model, Classifier):
            self.classifier = model
        else:
            self.classifier = Classifier(model, max_pixels=max_pixels)
        self.info = self.classifier.info
        self._grid = grid
        self._coarse_map = None
        if folder is not None and method != "occlusion":
            from recyclenet.operations.explain_run import open_maps

            self._coarse_map = open_maps(folder, method, self.classifier)

    def explain(self, picture: ImageSource, label: str | None = None) -> Explanation:
        """Explain the answer for one picture.

        Args:
            picture: a path, the bytes of a picture file, a Pillow image or a uint8 array.
            label: the class to explain; None for the most probable one.

        Raises:
            ImageError: the picture cannot be read.
            UsageError: the model has no such class, or its network has no feature map.
            ModelFileError: the model returned non-finite logits.
            RecycleNetError: the checkpoint and the model file of the run disagree.
        """
        return self.explain_answer(self.classifier.classify(picture), picture, label)

    def explain_answer(
        self, prediction: Prediction, picture: ImageSource, label: str | None = None
    ) -> Explanation:
        """Explain an answer that the classifier has given for a picture, as `explain` does."""
        chosen = label or str(prediction.label)
        index = self.info.class_index(chosen)
        preprocess = self.info.preprocess
        image = preprocess.resize(self.classifier.decode(picture))
        if self._coarse_map is not None:
            coarse = self._coarse_map(preprocess.normalise(image), index)
            heatmap = to_heatmap(coarse, preprocess.image_size)
        else:
            heatmap = occlusion_heatmap(
                image,
                preprocess,
                lambda batch: _probability(self.classifier, batch, index),
                grid=self._grid,
            )
        return Explanation(prediction, chosen, image, heatmap, self.classifier, self.method)


@dataclass(frozen=True, eq=False)
class Explained:
    """One photo, explained by one or two models.

    Attributes:
        path: as given.
        explanations: one of each model; none if there is an error or the models agree.
        error: why there is no answer; None if there is one.
        agree: whether all models give the same answer.
    """

    path: str
    explanations: tuple[Explanation, ...] = ()
    error: ImageError | ModelFileError | None = None
    agree: bool = False

    def to_rows(self, models: Sequence[str]) -> list[dict[str, Any]]:
        """Return plain values for JSON, one row for each model; for an error, one row.

        Args:
            models: the models' names.
        """
        if self.error is not None:
            nothing = dict.fromkeys(("method", "explains", "deletion", "deletion_random"))
            answer = Prediction(path=self.path, error=str(self.error)).to_row()
            return [{**answer, **nothing, "model": models[0]}]
        pairs = zip(models, self.explanations, strict=False)
        return [{**explanation.to_row(), "model": model} for model, explanation in pairs]

    def cards(self, models: Sequence[str]) -> list[Card]:
        """Return what a page shows, one card for each model; for an error, one card.

        Args:
            models: the models' names, which are shown if there are several.
        """
        if self.error is not None:
            return [Card(prediction=Prediction(path=self.path, error=str(self.error)))]
        cards = []
        for model, explanation in zip(models, self.explanations, strict=False):
            score = explanation.deletion
            notes = [
                f"explains {explanation.label}; deletion score {score.score:.3f}, "
                f"random {score.random:.3f}"
            ]
            cards.append(explanation.card(notes=[model, *notes] if len(models) > 1 else notes))
        return cards

    def figure(self) -> bytes:
        """Return the photo as the first model saw it, beside each model's heatmap, as PNG."""
        overlays = [explanation.overlay for explanation in self.explanations]
        return figure([self.explanations[0].picture, *overlays])


def explain_many(
    paths: Iterable[str],
    explainers: Sequence[Explainer],
    *,
    label: str | None = None,
    only_different: bool = False,
) -> Iterator[Explained]:
    """Explain the answers for many photos, in order.

    Args:
        paths: the photos.
        explainers: one for each model.
        label: the class to explain; None for each model's most probable one.
        only_different: explain only photos for which the models give different answers.

    Yields:
        One result per photo; one with `error` set where a photo cannot be read or a model returns
        non-finite logits.

    Raises:
        UsageError: a model has no such class.
        ModelFileError: after the last photo, if none has an answer and the model is the reason.
    """
    if label is not None:
        for explainer in explainers:
            explainer.info.class_index(label)
    model_error: ModelFileError | None = None
    num_answered = 0
    for path in paths:
        try:
            answers = [explainer.classifier.classify(path) for explainer in explainers]
            agree = len({answer.label for answer in answers}) == 1
            found: tuple[Explanation, ...] = ()
            if not (agree and only_different):
                pairs = zip(explainers, answers, strict=True)
                found = tuple(e.explain_answer(answer, path, label) for e, answer in pairs)
                for explanation in found:
                    _ = explanation.deletion  # the model may fail here, too
        except (ImageError, ModelFileError) as error:
            if isinstance(error, ModelFileError):
                model_error = model_error or error
            yield Explained(path, error=error)
        else:
            num_answered += 1
            yield Explained(path, found, agree=agree)
    if model_error is not None and not num_answered:
        raise model_error


def explain(
    picture: ImageSource,
    model: str | os.PathLike[str] | Classifier | None = None,
    *,
    method: str = "occlusion",
    label: str | None = None,
    grid: int = 8,
) -> Explanation:
    """Return a heatmap of what an answer rests on.

    Args:
        picture: a path, the bytes of a picture file, a Pillow image or a uint8 array.
        model: a model file, a run folder or a classifier; None for the model in the package.
        method: "occlusion" hides one patch after another, with any model; "feature-map" and
            "gradcam" need a run folder and PyTorch.
        label: the class to explain; None for the most probable one.
        grid: cells along a side of the heatmap, for "occlusion".

    Raises:
        ImageError: the picture cannot be read.
        UsageError: there is no such model file or method, or the model has no such class.
        ModelFileError: the model file is damaged or altered, or returned non-finite logits.
        MissingExtraError: the method needs PyTorch, which is not installed.
    """
    return Explainer(model, method, grid=grid).explain(picture, label)


def explanations_page(
    rows: Sequence[Sequence[Card]], infos: Sequence[ModelInfo], method: str
) -> str:
    """Return a self-contained HTML page.

    Args:
        rows: the cards of each photo, one of each model.
        infos: the models' metadata.
        method: a key of `METHODS`.
    """
    return render_page(
        "recyclenet.evaluation",
        "explanations.html",
        rows=rows,
        infos=infos,
        method=method,
        meaning=METHODS[method],
    )


def _probability(
    classifier: Classifier, batch: npt.NDArray[np.float32], index: int
) -> npt.NDArray[np.float64]:
    """Return the calibrated probability of a class, `(N,)`.

    Raises:
        ModelFileError: a logit is not finite.
    """
    logits = classifier.logits(batch)
    if not np.isfinite(logits).all():
        raise ModelFileError(
            f"the model {classifier.info.name} returned non-finite logits for a photo with hidden "
            f"parts; use another model"
        )
    return softmax(logits, classifier.info.temperature)[:, index]


def _name(model: Any) -> str:
    return os.fspath(model) if isinstance(model, str | os.PathLike) else repr(model)
