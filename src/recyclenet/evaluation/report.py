"""The HTML reports of `demo` and `evaluate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from recyclenet.core.images import ImageArray
from recyclenet.core.model_info import ModelInfo
from recyclenet.core.pages import render_page
from recyclenet.core.prediction import Prediction
from recyclenet.evaluation.metrics import Scores


@dataclass(frozen=True, kw_only=True)
class Card:
    """One photo in a report.

    Attributes:
        prediction: the answer for the photo.
        image: `(H, W, 3)` uint8; None if the photo cannot be read.
        heatmap: the image with the heatmap over it, `(S, S, 3)` uint8; None to show none.
        truth: the true label; None if unknown.
        notes: further lines of text.
    """

    prediction: Prediction
    image: ImageArray | None = None
    heatmap: ImageArray | None = None
    truth: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_right(self) -> bool | None:
        """Whether the answer is correct; None if the answer or the true label is missing."""
        if self.truth is None or self.prediction.label is None:
            return None
        return self.prediction.label == self.truth

    @property
    def name(self) -> str:
        """The photo's file name."""
        return Path(self.prediction.path or "photo").name


def answers_page(cards: Sequence[Card], info: ModelInfo) -> str:
    """Return an HTML page with the answer for each photo."""
    judged = [card for card in cards if card.is_right is not None]
    return render_page(
        "recyclenet.evaluation",
        "answers.html",
        cards=cards,
        info=info,
        num_judged=len(judged),
        num_right=sum(card.is_right is True for card in judged),
    )


def evaluation_page(
    scores: Scores,
    worst: Sequence[Card],
    info: ModelInfo,
    title: str,
    by_domain: Mapping[str, Scores] | None = None,
) -> str:
    """Return an HTML page with the metrics, the confusion matrix and the worst errors.

    Args:
        scores: the metrics.
        worst: wrong answers, worst first.
        info: the model's metadata.
        title: title of the page.
        by_domain: metrics of each domain, if there are several.
    """
    return render_page(
        "recyclenet.evaluation",
        "evaluation.html",
        by_domain=by_domain or {},
        evaluation=scores,
        largest=max(1, int(scores.confusion.max())),
        cards=worst,
        info=info,
        title=title,
    )
