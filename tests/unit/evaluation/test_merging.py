"""Merged classes: their probability is the sum of their members'."""

from __future__ import annotations

import numpy as np
import pytest

from recyclenet.core.decision import softmax
from recyclenet.evaluation.merging import merged_logits, merged_names

NAMES = ("can", "glass", "paper", "trash")


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_probabilities_add_up(temperature: float):
    logits = np.random.default_rng(0).normal(0, 5, (20, 4)).astype(np.float32)
    mapping = {"can": "container", "glass": "container"}
    assert merged_names(NAMES, mapping) == ("container", "paper", "trash")
    before = softmax(logits, temperature)
    after = softmax(merged_logits(logits, NAMES, mapping, temperature), temperature)
    np.testing.assert_allclose(after[:, 0], before[:, 0] + before[:, 1], atol=1e-5)
    np.testing.assert_allclose(after[:, 1:], before[:, 2:], atol=1e-5)


def test_a_class_that_is_ruled_out_leaves_its_probability_to_the_others():
    logits = np.array([[2, 1, 0, 9]], np.float32)
    after = softmax(merged_logits(logits, NAMES, {"trash": "_"}, 1.0))
    np.testing.assert_allclose(after, softmax(logits[:, :3]), atol=1e-6)


def test_a_class_may_join_another_of_the_models():
    assert merged_names(NAMES, {"trash": "paper"}) == ("can", "glass", "paper")


def test_without_a_map_nothing_changes():
    logits = np.ones((1, 4), np.float32)
    assert merged_logits(logits, NAMES, {}, 2.0) is logits
    assert merged_names(NAMES[::-1], {}) == NAMES[::-1]
