"""Photos to doubt: likely wrong labels, and copies of training photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recyclenet.data.manifest import Sample
from recyclenet.evaluation.suspects import Overlap, label_suspects, overlap


def noisy(seed: int, num_photos: int = 300, num_classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of a good model, and labels of which every tenth is drawn at random."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, num_classes, num_photos)
    logits = generator.normal(size=(num_photos, num_classes))
    logits[np.arange(num_photos), truth] += 3
    exponent = np.exp(logits)
    wrong = generator.uniform(size=num_photos) < 0.1
    labels = np.where(wrong, generator.integers(0, num_classes, num_photos), truth)
    return exponent / exponent.sum(1, keepdims=True), labels


@pytest.mark.parametrize("seed", range(5))
def test_suspects_are_those_of_cleanlab(seed):
    cleanlab = pytest.importorskip("cleanlab.filter")
    probabilities, labels = noisy(seed)
    expected = cleanlab.find_label_issues(
        labels,
        probabilities,
        filter_by="confident_learning",
        return_indices_ranked_by="self_confidence",
        n_jobs=1,
    )
    assert label_suspects(probabilities, labels) == expected.tolist()
    assert len(expected) > 10


def test_confident_contradictions_come_worst_first():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.3, 0.7], [0.02, 0.98]])
    assert label_suspects(probabilities, np.array([0, 0, 1, 1, 0])) == [4]
    assert label_suspects(probabilities[:2], np.array([0, 0])) == []
    assert label_suspects(np.ones((3, 1)), np.zeros(3, int)) == []


def test_overlap_counts_photos_that_share_a_group_or_their_bytes():
    tested = [
        Sample(Path("a"), "glass", group="g1", sha256="1"),
        Sample(Path("b"), "glass", sha256="2"),
        Sample(Path("c"), "glass", group="g9", sha256="3"),
        Sample(Path("d"), "glass"),
    ]
    training = [Sample(Path("e"), "glass", group="g1"), Sample(Path("f"), "metal", sha256="2")]
    assert overlap(tested, training) == Overlap(num_photos=3, num_shared=2)


def test_overlap_is_unknown_without_groups_digests_or_training_photos():
    bare, told = Sample(Path("a"), "glass"), Sample(Path("b"), "glass", group="g")
    assert overlap([told], []) is None
    assert overlap([told], [bare]) is None
    assert overlap([bare], [told]) is None
    # A group and a digest of the same name are two things.
    assert overlap([told], [Sample(Path("c"), "glass", sha256="g")]) == Overlap(1, 0)
