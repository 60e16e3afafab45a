"""Averages over frames, and an answer that does not flicker."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from recyclenet.core.prediction import Prediction
from recyclenet.inference.classifier import Classifier

# Weight of the newest frame in the running average.
WEIGHT = 0.4
# Lead that another class needs before it is shown, in probability.
LEAD = 0.1
# Frames in a row for which it needs that lead; the same for another bin.
HOLD = 3


def average(classifier: Classifier, predictions: Sequence[Prediction]) -> Prediction:
    """Return the answer for the mean of several frames' probabilities."""
    scores = np.mean([_scores(classifier, one) for one in predictions], axis=0)
    return _answer(classifier, scores)


class Smoother:
    """A running average of the probabilities, and the answer to show for it.

    The label shown changes only once another class leads by `LEAD` for `HOLD` frames in a row, and
    its bin only once it differs for as many frames.

    Args:
        classifier: gives the answers.
    """

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self.reset()

    def reset(self) -> None:
        """Forget all frames."""
        self._scores: npt.NDArray[np.float64] | None = None
        self._shown: Prediction | None = None
        self._num_other = 0

    def add(self, prediction: Prediction) -> Prediction:
        """Take in the answer for a frame; return the answer to show."""
        scores = _scores(self._classifier, prediction)
        if self._scores is not None:
            scores = WEIGHT * scores + (1 - WEIGHT) * self._scores
        self._scores = scores
        answer = _answer(self._classifier, scores)
        if self._shown is None or self._is_same(answer):
            self._shown, self._num_other = answer, 0
            return answer
        self._num_other = self._num_other + 1 if self._leads(answer) else 0
        if self._num_other >= HOLD:
            self._shown, self._num_other = answer, 0
        return self._shown

    def _is_same(self, answer: Prediction) -> bool:
        shown = self._shown
        return shown is not None and (answer.label, answer.bin) == (shown.label, shown.bin)

    def _leads(self, answer: Prediction) -> bool:
        shown = self._shown
        if shown is None or answer.label == shown.label:
            return True
        return answer.probabilities[str(answer.label)] >= (
            answer.probabilities[str(shown.label)] + LEAD
        )


def _scores(classifier: Classifier, prediction: Prediction) -> npt.NDArray[np.float64]:
    """Return the probabilities in the order of the logits, and the unknown score or NaN."""
    unknown = np.nan if prediction.unknown is None else prediction.unknown
    values = [prediction.probabilities[name] for name in classifier.info.class_names]
    return np.array([*values, unknown])


def _answer(classifier: Classifier, scores: npt.NDArray[np.float64]) -> Prediction:
    """Return the classifier's answer for given probabilities."""
    logits = classifier.info.temperature * np.log(scores[:-1].clip(1e-12))
    unknown = None if np.isnan(scores[-1]) else np.asarray(scores[-1], np.float32)
    return classifier.answer(None, logits.astype(np.float32), unknown)
