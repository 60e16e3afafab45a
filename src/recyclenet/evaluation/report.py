"""The HTML reports of `demo` and `evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recyclenet.core.images import ImageArray, decode_image
from recyclenet.core.model_info import ModelInfo
from recyclenet.core.pages import THUMBNAIL, render_page
from recyclenet.core.prediction import Prediction
from recyclenet.data.manifest import Sample
from recyclenet.data.sources.feedback import Outcome
from recyclenet.evaluation.analysis import Analysis, Answer
from recyclenet.evaluation.charts import reliability_chart, risk_chart

# A matrix of more classes would make the page too large; the most confused pairs remain.
MAX_MATRIX = 120
# Rows of a table of pairs or of photos: those that show at once, and all.
_FIRST_ROWS, _MOST_ROWS = 10, 50
_TITLES = {
    "stream": "stream: right class",
    "right_stream": "stream: right stream",
    "brightness": "brightness, 0 to 1",
    "size": "size, megapixels",
    "blur": "blur, 0 to 1",
}


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


@dataclass(frozen=True)
class Photo:
    """One photo in the report of an evaluation.

    Attributes:
        answer: the answer for it.
        image: `(H, W, 3)` uint8; None if the photo can no longer be read.
        heatmap: the image with the heatmap over it, `(S, S, 3)` uint8; None to show none.
    """

    answer: Answer
    image: ImageArray | None = None
    heatmap: ImageArray | None = None


def evaluation_page(
    analysis: Analysis, photos: Sequence[Photo], info: ModelInfo, title: str
) -> str:
    """Return an HTML page with all that is known of a model's answers.

    Args:
        analysis: the numbers.
        photos: the first of `analysis.worst`, with their pictures.
        info: the model's metadata.
        title: title of the page.
    """
    scores, names = analysis.scores, analysis.scores.class_names
    domains = sorted({photo.answer.domain for photo in photos})
    here = (scores.coverage, 1 - scores.known_accuracy) if scores.coverage else None
    return render_page(
        "recyclenet.evaluation",
        "evaluation.html",
        script="evaluation.js",
        analysis=analysis,
        scores=scores,
        photos=photos,
        numbers={name: number for number, name in enumerate(names)},
        domains=domains,
        has_matrix=len(names) <= MAX_MATRIX,
        pairs=analysis.most_confused,
        first_rows=_FIRST_ROWS,
        most_rows=_MOST_ROWS,
        reliability=reliability_chart(analysis.calibration.bins, analysis.calibration.bins_before),
        risk=risk_chart(analysis.risk.points, here),
        titles=_TITLES,
        marks={
            "classes": names,
            "photos": [{"path": p.answer.path, "label": p.answer.truth} for p in photos],
        },
        info=info,
        title=title,
    )


@dataclass(frozen=True, kw_only=True)
class Review:
    """One photo of imported feedback that a person is to look at.

    Attributes:
        sample: the photo.
        path: where it will lie when the person marks it.
        outcome: its record.
    """

    sample: Sample
    path: str
    outcome: Outcome

    @property
    def image(self) -> ImageArray:
        """The photo, `(H, W, 3)` uint8, possibly at reduced size."""
        return decode_image(self.sample.path, min_side=THUMBNAIL)


def review_page(reviews: Sequence[Review], class_names: Sequence[str]) -> str:
    """Return an HTML page to check and mark the labels of imported feedback.

    Args:
        reviews: the photos.
        class_names: the labels that a mark can give.
    """
    names = {*class_names, *(review.outcome.record.predicted for review in reviews)}
    return render_page(
        "recyclenet.evaluation",
        "review.html",
        script="evaluation.js",
        reviews=reviews,
        numbers={name: number for number, name in enumerate(sorted(names))},
        marks={
            "classes": class_names,
            "photos": [{"path": r.path, "label": r.sample.label} for r in reviews],
        },
    )
