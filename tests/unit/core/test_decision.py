"""Probabilities that can be relied on whatever the logits are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recyclenet.core.decision import softmax, trust

LOGITS = st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=8)
TEMPERATURES = st.floats(0.05, 20)


@given(LOGITS, TEMPERATURES)
def test_probabilities_sum_to_one_and_keep_the_order(logits, temperature):
    probabilities = softmax(logits, temperature)
    assert probabilities.dtype == np.float64
    assert abs(probabilities.sum() - 1) < 1e-9
    assert (probabilities >= 0).all()
    assert probabilities[np.argmax(logits)] == probabilities.max()


@given(st.lists(st.floats(-20, 20), min_size=2, max_size=6), TEMPERATURES, TEMPERATURES)
def test_a_higher_temperature_is_never_more_sure(logits, one, other):
    low, high = sorted((one, other))
    assert softmax(logits, high).max() <= softmax(logits, low).max() + 1e-12


def test_known_values():
    np.testing.assert_allclose(softmax([0.0, np.log(3)]), [0.25, 0.75])
    np.testing.assert_allclose(softmax([0.0, np.log(9)], 2.0), [0.25, 0.75])


def test_the_classes_of_a_bin_count_together():
    probabilities = np.array([[0.4, 0.35, 0.25], [0.3, 0.3, 0.4], [1.0, 0.0, 0.0]])
    np.testing.assert_allclose(trust(probabilities), [0.4, 0.4, 1])
    bins = np.array([0, 0, 1])
    np.testing.assert_allclose(trust(probabilities, bins=bins), [0.75, 0.4, 1])
    unknown = np.array([0.5, 0, 1], np.float32)
    np.testing.assert_allclose(trust(probabilities, unknown, bins), [0.375, 0.4, 0])
    np.testing.assert_allclose(trust(probabilities, unknown, np.arange(3)), [0.2, 0.4, 0])


@pytest.mark.parametrize("largest", [1e4, 3e38, 1e300])
def test_extreme_logits_give_no_nan(largest):
    logits = np.array([[largest, -largest, 0], [-largest] * 3])
    np.testing.assert_allclose(softmax(logits), [[1, 0, 0], [1 / 3] * 3])


def test_rows_are_independent():
    logits = np.random.default_rng(0).normal(size=(2, 5, 4)).astype(np.float32)
    np.testing.assert_allclose(softmax(logits)[1, 3], softmax(logits[1, 3]))
