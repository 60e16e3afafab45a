"""The pages of `demo` and `evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recyclenet.core.images import ImageArray
from recyclenet.core.model_info import ModelInfo
from recyclenet.core.pages import write_page
from recyclenet.core.prediction import Prediction
from recyclenet.evaluation.metrics import Evaluation


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


def write_answers_page(cards: Sequence[Card], info: ModelInfo, path: Path) -> None:
    """Write a page with an answer for each picture, right and wrong alike."""
    judged = [card for card in cards if card.is_right is not None]
    write_page(
        "recyclenet.evaluation",
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
    write_page(
        "recyclenet.evaluation",
        "evaluation.html",
        path,
        evaluation=evaluation,
        largest=max(1, int(evaluation.confusion.max())),
        cards=worst,
        info=info,
        title=title,
    )
