"""The latest answers of the service, so that feedback can say which model was wrong."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from recyclenet.inference.classifier import Classifier
from recyclenet.service.schemas import Answer

KEPT = 10_000


class Answers:
    """What the service answered last; older answers are forgotten."""

    def __init__(self) -> None:
        self._facts: OrderedDict[str, dict[str, object]] = OrderedDict()
        self._lock = Lock()

    def note(self, answer: Answer, name: str, classifier: Classifier) -> None:
        """Remember an answer of a model."""
        with self._lock:
            self._facts[answer.id] = {
                "predicted": answer.label,
                "model": name,
                "model_sha256": classifier.sha256,
            }
            if len(self._facts) > KEPT:
                self._facts.popitem(last=False)

    def facts_of(self, answer: str) -> dict[str, object]:
        """Return what feedback on an answer stores: its id and, if it is known, its facts."""
        with self._lock:
            return {"answer": answer, **self._facts.get(answer, {})}
