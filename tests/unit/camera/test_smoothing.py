"""The answer shown does not flicker."""

from __future__ import annotations

import numpy as np
import pytest

from conftest import colour
from recyclenet.camera.smoothing import HOLD, Smoother, average
from recyclenet.inference.classifier import Classifier


@pytest.fixture(scope="module")
def classifier(tiny_model):
    return Classifier(tiny_model, threads=1)


def answers(classifier, *labels: str):
    return [classifier.classify(np.full((16, 16, 3), colour(label), np.uint8)) for label in labels]


def test_an_average_of_equal_answers_is_that_answer(classifier) -> None:
    one = answers(classifier, "glass")[0]
    mean = average(classifier, [one] * 3)
    assert mean.label == "glass"
    assert mean.known == one.known
    assert mean.bin == one.bin
    assert mean.probabilities == pytest.approx(dict(one.probabilities), abs=1e-6)


def test_a_label_that_alternates_does_not_flicker(classifier) -> None:
    smoother = Smoother(classifier)
    seen = [smoother.add(one).label for one in answers(classifier, *["glass", "paper"] * 20)]
    assert set(seen) == {"glass"}


def test_a_label_that_changes_for_good_is_shown_soon(classifier) -> None:
    smoother = Smoother(classifier)
    seen = [
        smoother.add(one).label for one in answers(classifier, *["glass"] * 10, *["paper"] * 10)
    ]
    assert seen[:10] == ["glass"] * 10
    changed = seen.index("paper")
    assert 10 + HOLD - 1 <= changed <= 10 + HOLD + 3
    assert set(seen[changed:]) == {"paper"}


def test_after_a_reset_the_next_label_is_shown_at_once(classifier) -> None:
    smoother = Smoother(classifier)
    for one in answers(classifier, *["glass"] * 5):
        smoother.add(one)
    smoother.reset()
    assert smoother.add(answers(classifier, "metal")[0]).label == "metal"
