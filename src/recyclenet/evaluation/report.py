"""HTML pages that hold everything they show: pictures, bars, tables; no script, no network."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from recyclenet.core.files import write_text
from recyclenet.core.images import ImageArray
from recyclenet.core.model_info import ModelInfo
from recyclenet.core.prediction import Prediction
from recyclenet.core.taxonomy import BINS
from recyclenet.evaluation.metrics import Evaluation

THUMBNAIL = 320


@dataclass(frozen=True, kw_only=True)
class Card:
    """One picture of a page.

    Attributes:
        prediction: the answer for it.
        picture: `(H, W, 3)` uint8; None where it could not be read.
        heatmap: `(S, S, 3)` uint8, the picture with what mattered coloured; None for none.
        truth: its true label; None where unknown.
    """

    prediction: Prediction
    picture: ImageArray | None = None
    heatmap: ImageArray | None = None
    truth: str | None = None

    @property
    def is_right(self) -> bool | None:
        """Whether the answer is the truth; None where that cannot be said."""
        if self.truth is None or self.prediction.label is None:
            return None
        return self.prediction.label == self.truth

    @property
    def name(self) -> str:
        """The picture's file name."""
        return Path(self.prediction.path or "picture").name

    @property
    def bin(self) -> str:
        """The bin in words."""
        return BINS.get(self.prediction.stream or "", "")


def write_answers_page(cards: Sequence[Card], info: ModelInfo, path: Path) -> None:
    """Write a page with an answer for each picture, right and wrong alike."""
    judged = [card for card in cards if card.is_right is not None]
    _write(
        "answers.html",
        path,
        cards=cards,
        info=info,
        num_judged=len(judged),
        num_right=sum(card.is_right is True for card in judged),
    )


def write_evaluation_page(
    evaluation: Evaluation, worst: Sequence[Card], info: ModelInfo, title: str, path: Path
) -> None:
    """Write a page with the figures, the confusion matrix and the most wrong pictures.

    Args:
        evaluation: the figures.
        worst: wrong answers, the worst first.
        info: of the model.
        title: what was evaluated.
        path: where the page goes.
    """
    _write(
        "evaluation.html",
        path,
        evaluation=evaluation,
        largest=max(1, int(evaluation.confusion.max())),
        cards=worst,
        info=info,
        title=title,
    )


def data_uri(image: ImageArray) -> str:
    """Return a small JPEG of `(H, W, 3)` uint8 as a data URI."""
    small = Image.fromarray(image)
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    content = io.BytesIO()
    small.save(content, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()


def _write(template: str, path: Path, **values: Any) -> None:
    environment = Environment(
        loader=PackageLoader("recyclenet.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_uri"] = data_uri
    environment.filters["percent"] = lambda value, digits=0: f"{value:.{digits}%}"
    write_text(path, environment.get_template(template).render(**values))
