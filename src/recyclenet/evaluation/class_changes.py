"""What a new model changes for each class, compared with the current one on the same photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recyclenet.data.manifest import Sample
from recyclenet.errors import DataError
from recyclenet.evaluation.paired import Paired
from recyclenet.evaluation.table import PredictionTable

# If a larger loss than this cannot be excluded, there are too few photos to tell.
NOTICEABLE = 0.1
WORSE, BETTER, SAME = "worse", "better", "no clear change"
TOO_FEW, NO_PHOTOS = "too few photos to tell", "no photos"
NEW, GONE = "new class", "class is gone"
ALL = "all"


@dataclass(frozen=True, kw_only=True)
class ClassChange:
    """What a new model changes for one class.

    Attributes:
        label: the class; `ALL` for the photos of all classes that the current model knows.
        paired: how often the current model (first) and the new one (second) are right on its
            photos; None without photos.
        verdict: one of the constants above.
    """

    label: str
    paired: Paired | None
    verdict: str

    @property
    def is_loss(self) -> bool:
        """Whether the class gets worse beyond its interval, or the new model does not know it."""
        return self.verdict in (WORSE, GONE)

    @property
    def num_photos(self) -> int:
        """Number of its photos."""
        return 0 if self.paired is None else self.paired.num_photos

    def to_row(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        row: dict[str, Any] = {
            "label": self.label,
            "num_photos": self.num_photos,
            "verdict": self.verdict,
        }
        if self.paired is not None:
            counts = self.paired
            row |= {
                "recall_before": round((counts.num_both + counts.num_first) / self.num_photos, 6),
                "recall": round((counts.num_both + counts.num_second) / self.num_photos, 6),
                "difference": round(counts.difference, 6),
                "interval95": [round(bound, 6) for bound in counts.adjusted_interval],
                "num_lost": counts.num_first,
                "num_won": counts.num_second,
            }
        return row


def class_changes(current: PredictionTable, new: PredictionTable) -> list[ClassChange]:
    """Compare two models class by class, on the photos that both have answers for.

    A model gets no photo right of a class that it does not know.

    Args:
        current: answers of the model in use.
        new: answers of the model that may replace it; its classes may differ.

    Returns:
        One change for each class of either model, and a last one for all photos of the classes that
        the current model knows.

    Raises:
        DataError: there is no such photo.
    """
    rows = {sample: row for row, sample in enumerate(new.samples)}
    places = [(row, rows[s]) for row, s in enumerate(current.samples) if s in rows]
    samples = [current.samples[row] for row, _ in places]
    before = _right(current, samples, [row for row, _ in places])
    after = _right(new, samples, [row for _, row in places])
    labels = np.array([sample.label for sample in samples])
    changes = [
        _change(label, before[labels == label], after[labels == label], current, new)
        for label in sorted({*current.class_names, *new.class_names})
    ]
    known = np.isin(labels, current.class_names)
    if not known.any():
        raise DataError(
            "no photo of a class that the current model knows has an answer from both models"
        )
    return [*changes, _change(ALL, before[known], after[known])]


def _right(
    table: PredictionTable, samples: Sequence[Sample], rows: Sequence[int]
) -> npt.NDArray[np.bool_]:
    answers = table.logits[list(rows)].argmax(1) if rows else ()
    return np.array(
        [table.class_names[k] == s.label for k, s in zip(answers, samples, strict=True)], np.bool_
    )


def _change(
    label: str,
    before: npt.NDArray[np.bool_],
    after: npt.NDArray[np.bool_],
    current: PredictionTable | None = None,
    new: PredictionTable | None = None,
) -> ClassChange:
    paired = Paired.count(before, after) if len(before) else None
    if new is not None and label not in new.class_names:
        verdict = GONE
    elif current is not None and label not in current.class_names:
        verdict = NEW
    elif paired is None:
        verdict = NO_PHOTOS
    else:
        low, high = paired.adjusted_interval
        if high < 0:
            verdict = WORSE
        elif low > 0:
            verdict = BETTER
        else:
            verdict = TOO_FEW if low < -NOTICEABLE else SAME
    return ClassChange(label=label, paired=paired, verdict=verdict)
