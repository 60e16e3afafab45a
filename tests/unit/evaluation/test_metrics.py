"""The figures of an evaluation, against cases worked by hand and against scikit-learn."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recyclenet.evaluation.metrics import score, wilson_interval, worst_rows

NAMES = ("glass", "metal", "paper")


def logits_for(predicted: list[int], num_classes: int = 3, sure: float = 8.0) -> np.ndarray:
    return (np.eye(num_classes, dtype=np.float32) * sure)[predicted]


def test_case_worked_by_hand():
    #          true glass x4        true metal x2   true paper x2
    targets = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    predicted = [0, 0, 0, 1, 1, 1, 0, 0]
    scores = score(logits_for(predicted), targets, NAMES)
    assert scores.num_photos == 8
    assert scores.confusion.tolist() == [[3, 1, 0], [0, 2, 0], [2, 0, 0]]
    assert scores.accuracy == 5 / 8
    assert scores.balanced_accuracy == pytest.approx((3 / 4 + 1 + 0) / 3)
    glass_f1, metal_f1 = 2 * 3 / (4 + 5), 2 * 2 / (2 + 3)
    assert scores.macro_f1 == pytest.approx((glass_f1 + metal_f1 + 0) / 3)
    assert scores.per_class()["glass"] == pytest.approx(
        {"precision": 3 / 5, "recall": 3 / 4, "f1": glass_f1, "num_photos": 4}
    )
    assert scores.per_class()["paper"] == {
        "precision": 0, "recall": 0, "f1": 0, "num_photos": 2,
    }  # fmt: skip
    assert scores.most_confused() == [("paper", "glass", 2), ("glass", "metal", 1)]
    assert scores.most_confused(2) == [("paper", "glass", 2)]
    assert scores.most_confused(3) == []


def test_classes_without_photos_do_not_count_against_the_model():
    scores = score(logits_for([0, 1, 0]), np.array([0, 1, 0]), NAMES)
    assert scores.balanced_accuracy == 1
    assert scores.macro_f1 == 1


@settings(max_examples=20)
@given(st.integers(1, 60), st.integers(2, 6), st.integers(0, 2**31))
def test_figures_agree_with_scikit_learn(num_photos, num_classes, seed):
    reference = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(seed)
    targets = generator.integers(0, num_classes, num_photos)
    logits = generator.normal(size=(num_photos, num_classes)).astype(np.float32)
    names = tuple("abcdef"[:num_classes])
    scores = score(logits, targets, names)
    predicted, labels = logits.argmax(1), range(num_classes)
    present = np.unique(targets)
    exponent = np.exp(logits.astype(float))
    probabilities = exponent / exponent.sum(1, keepdims=True)
    assert scores.confusion.tolist() == (
        reference.confusion_matrix(targets, predicted, labels=labels).tolist()
    )
    assert scores.accuracy == pytest.approx(reference.accuracy_score(targets, predicted))
    assert scores.balanced_accuracy == pytest.approx(
        reference.recall_score(targets, predicted, labels=present, average="macro", zero_division=0)
    )
    assert scores.macro_f1 == pytest.approx(
        reference.f1_score(targets, predicted, labels=present, average="macro", zero_division=0)
    )
    assert scores.nll == pytest.approx(reference.log_loss(targets, probabilities, labels=labels))
    for count, found in ((2, scores.top2_accuracy), (3, scores.top3_accuracy)):
        if num_classes > 2:  # scikit-learn takes two classes for a binary problem
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # with k of all classes, the answer is 1
                expected = reference.top_k_accuracy_score(targets, logits, k=count, labels=labels)
            assert found == pytest.approx(expected)
    precision, recall, f1, number = reference.precision_recall_fscore_support(
        targets, predicted, labels=labels, zero_division=0
    )
    for index, figures in enumerate(scores.per_class().values()):
        assert figures == pytest.approx(
            {
                "precision": precision[index],
                "recall": recall[index],
                "f1": f1[index],
                "num_photos": number[index],
            }
        )
    seen = np.isin(np.arange(num_classes), present)
    rates = reference.confusion_matrix(targets, predicted, labels=labels, normalize="true")
    np.testing.assert_allclose(scores.rates[seen], rates[seen])
    assert not scores.rates[~seen].any()


def test_row_is_plain_json_and_rounded():
    row = score(logits_for([0, 1, 1]), np.array([0, 1, 2]), NAMES).to_row()
    again = json.loads(json.dumps(row))
    assert again == row
    assert again["accuracy"] == 0.666667
    assert again["num_photos"] == 3
    assert again["confusion_matrix"] == [[1, 0, 0], [0, 1, 0], [0, 1, 0]]
    assert list(again["per_class"]) == list(NAMES)


def test_threshold_divides_known_from_unknown():
    logits = np.array([[9, 0, 0], [9, 0, 0], [0.1, 0, 0], [0, 0.1, 0]], np.float32)
    targets = np.array([0, 1, 1, 1])
    scores = score(logits, targets, NAMES, threshold=0.9)
    assert (scores.accuracy, scores.coverage, scores.known_accuracy) == (0.5, 0.5, 0.5)
    none = score(logits, targets, NAMES, temperature=20, threshold=0.99)
    assert (none.coverage, none.known_accuracy) == (0, 0)


def test_temperature_changes_how_sure_but_not_what():
    logits, targets = logits_for([0, 1, 2, 0]), np.array([0, 1, 2, 1])
    cold, warm = (score(logits, targets, NAMES, temperature=t) for t in (1.0, 4.0))
    assert cold.accuracy == warm.accuracy
    assert warm.nll < cold.nll  # one answer in four is wrong: less sure is better


def test_a_certain_mistake_costs_much_but_not_infinity():
    scores = score(np.array([[1e4, 0, 0]], np.float32), np.array([1]), NAMES)
    assert 20 < scores.nll < 40


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # Figures of the Wilson score interval without continuity correction.
    [(0, 10, 0.0, 0.27753), (10, 10, 0.72247, 1.0), (5, 10, 0.23659, 0.76341),
     (1, 1, 0.20654, 1.0)],
)  # fmt: skip
def test_wilson_interval(successes, trials, low, high):
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=1e-5)


@given(st.integers(1, 5000), st.floats(0, 1))
def test_bounds_are_where_a_score_test_would_just_reject(trials, share):
    successes = round(share * trials)
    for bound in wilson_interval(successes, trials):
        deviation = abs(successes / trials - bound)
        assert deviation == pytest.approx(
            1.959964 * (bound * (1 - bound) / trials) ** 0.5, abs=1e-6
        )


@given(st.integers(1, 5000), st.floats(0, 1))
def test_interval_holds_the_share_and_narrows_with_more_photos(trials, share):
    successes = round(share * trials)
    low, high = wilson_interval(successes, trials)
    assert 0 <= low <= successes / trials + 1e-12
    assert successes / trials - 1e-12 <= high <= 1
    more_low, more_high = wilson_interval(4 * successes, 4 * trials)
    assert more_high - more_low < high - low


def test_equal_probabilities_count_in_the_order_of_the_classes():
    scores = score(np.zeros((4, 4), np.float32), np.array([0, 1, 2, 3]), ("a", "b", "c", "d"))
    assert (scores.accuracy, scores.top2_accuracy, scores.top3_accuracy) == (0.25, 0.5, 0.75)


def test_with_one_class_every_answer_is_right():
    scores = score(np.zeros((3, 1), np.float32), np.array([0, 0, 0]), ("glass",))
    assert (scores.accuracy, scores.top2_accuracy, scores.ece, scores.nll) == (1, 1, 0, 0)


def test_worst_rows_are_wrong_answers_then_doubtful_ones():
    probabilities = np.array([[0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [0.45, 0.55], [0.52, 0.48]])
    targets, known = np.array([1, 0, 0, 1, 0]), np.array([True, True, False, False, False])
    assert worst_rows(probabilities, targets, known) == [0, 2, 4, 3]
    assert worst_rows(probabilities[1:2], targets[1:2], known[1:2]) == []
