"""A lesson learns the taught class, keeps the others, and honours the limit on what is lost."""

from __future__ import annotations

import numpy as np
import pytest

from recyclenet.inference.exemplars import Exemplars
from recyclenet.inference.head import Head, widen
from recyclenet.inference.lesson import Lesson

SIZE = 40
# The model to be taught: it knows two classes.
MODEL = Head(3 * np.eye(2, SIZE, dtype=np.float32), np.zeros(2, np.float32))


def world(num_per_class: int, overlap: float) -> tuple[Exemplars, np.ndarray, np.ndarray]:
    """Return exemplars of two classes, ten photos of a third, and photos of all three to test."""
    generator = np.random.default_rng(0)
    centres = 3 * np.eye(3, SIZE)
    centres[2] += overlap * centres[1]

    def draw(label: int, count: int) -> np.ndarray:
        return (centres[label] + 0.5 * generator.normal(size=(count, SIZE))).astype(np.float32)

    targets = np.repeat([0, 1], num_per_class)
    train, held_out = (
        np.concatenate([draw(0, num_per_class), draw(1, num_per_class)]) for _ in range(2)
    )
    exemplars = Exemplars(train, targets, held_out, targets, MODEL(train), MODEL(held_out))
    photos = np.stack([draw(2, 10), draw(2, 10)], axis=1)
    return exemplars, photos, np.stack([draw(label, 50) for label in range(3)])


def lesson(
    exemplars: Exemplars, photos: np.ndarray, target: int = 2, max_lost: float = 0.01
) -> Lesson:
    return Lesson(exemplars, photos, MODEL(photos), target, 1.0, max_lost)


def answers(change: Head, rows: np.ndarray) -> np.ndarray:
    """Return the answers of the corrected model."""
    return (widen(MODEL(rows), len(change.bias)) + change(rows)).argmax(axis=1)


@pytest.mark.parametrize("num_per_class", [10, 40])  # fewer and more rows than features
def test_a_separate_class_is_learned_and_the_others_kept(num_per_class):
    exemplars, photos, test = world(num_per_class, overlap=0)
    change = lesson(exemplars, photos).fit(range(10))
    assert change.weight.shape == (3, SIZE)
    for label in range(3):
        assert (answers(change, test[label]) == label).mean() >= 0.95


@pytest.mark.parametrize("max_lost", [0.0, 0.1, 0.5])
def test_the_limit_on_what_is_lost_holds(max_lost):
    exemplars, photos, test = world(40, overlap=1.5)
    change = lesson(exemplars, photos, max_lost=max_lost).fit(range(10))
    was_right = exemplars.held_out_logits.argmax(axis=1) == exemplars.held_out_targets
    assert ((answers(change, exemplars.held_out) == 2) & was_right).mean() <= max_lost
    recalls = [
        (answers(lesson(exemplars, photos, max_lost=m).fit(range(10)), test[2]) == 2).mean()
        for m in (0.0, 0.5)
    ]
    assert recalls[0] <= recalls[1]


def test_the_same_photos_give_the_same_correction():
    exemplars, photos, _ = world(10, overlap=0.5)
    first, second = (lesson(exemplars, photos).fit([0, 3, 5]) for _ in range(2))
    np.testing.assert_array_equal(first.weight, second.weight)


def test_a_known_class_is_corrected():
    exemplars, photos, test = world(20, overlap=0)
    change = lesson(exemplars, photos, target=1).fit(range(10))
    assert change.weight.shape == (2, SIZE)
    assert (answers(change, test[2]) == 1).mean() >= 0.9
    assert (answers(change, test[0]) == 0).mean() >= 0.9
