"""The pages of `demo` and `evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recyclenet.core.images import ImageArray
from recyclenet.core.model_info import ModelInfo
from recyclenet.core.pages import render_page
from recyclenet.core.prediction import Prediction
from recyclenet.evaluation.metrics import Scores


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


def answers_page(cards: Sequence[Card], info: ModelInfo) -> str:
    """Return an HTML page with the answer for each picture, right and wrong alike."""
    judged = [card for card in cards if card.is_right is not None]
    return render_page(
        "recyclenet.evaluation",
        "answers.html",
        cards=cards,
        info=info,
        num_judged=len(judged),
        num_right=sum(card.is_right is True for card in judged),
    )


def evaluation_page(scores: Scores, worst: Sequence[Card], info: ModelInfo, title: str) -> str:
    """Return an HTML page with the figures, the confusion matrix and the most wrong pictures.

    Args:
        scores: the figures.
        worst: wrong answers, the worst first.
        info: of the model.
        title: what was evaluated.
    """
    return render_page(
        "recyclenet.evaluation",
        "evaluation.html",
        evaluation=scores,
        largest=max(1, int(scores.confusion.max())),
        cards=worst,
        info=info,
        title=title,
    )
