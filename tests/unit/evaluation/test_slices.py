"""The accuracy on parts of the photos."""

from __future__ import annotations

import numpy as np
import pytest

from recyclenet.evaluation.slices import Slice, by_name, by_thirds

NAMES = ("low", "middle", "high")


def test_slices_by_name():
    slices = by_name(["b", "a", "b", "b"], np.array([True, False, False, True]))
    assert slices == [Slice("a", 1, 0), Slice("b", 3, 2)]
    assert slices[1].accuracy == pytest.approx(2 / 3)
    low, high = slices[1].interval
    assert 0 < low < 2 / 3 < high < 1


def test_thirds_hold_every_photo_with_a_value_once():
    values = np.array([0.9, 0.1, np.nan, 0.5, 0.2, 0.6, 0.8])
    right = np.array([True, False, True, True, False, True, False])
    assert by_thirds(values, right, NAMES) == [
        Slice("low", 2, 0, (0.1, 0.2)),
        Slice("middle", 2, 2, (0.5, 0.6)),
        Slice("high", 2, 1, (0.8, 0.9)),
    ]


def test_equal_values_share_a_slice():
    right = np.array([True, True, False, True])
    slices = by_thirds(np.array([1.0, 1.0, 1.0, 2.0]), right, NAMES)
    assert [(part.num_photos, part.num_right) for part in slices] == [(3, 2), (1, 1)]


@pytest.mark.parametrize("values", [[1.0, 1.0], [np.nan, np.nan], [0.5], []])
def test_values_that_do_not_differ_give_no_slices(values):
    assert by_thirds(np.array(values), np.ones(len(values), bool), NAMES) == []
