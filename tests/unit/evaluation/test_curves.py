"""Calibration and risk-coverage curves, against cases worked by hand and short formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recyclenet.evaluation.curves import (
    calibration_bins,
    calibration_error,
    risk_area,
    risk_coverage,
)


def plain_error(confidence: np.ndarray, correct: np.ndarray, num_bins: int = 15) -> float:
    """The calibration error from sums per bin, one answer at a time."""
    sums = [0.0] * num_bins
    for sure, right in zip(confidence.tolist(), correct.tolist(), strict=True):
        sums[min(int(sure * num_bins), num_bins - 1)] += sure - right
    return sum(map(abs, sums)) / len(confidence)


@settings(max_examples=30)
@given(st.integers(1, 200), st.integers(0, 2**31))
def test_calibration_error_agrees_with_a_plain_formula(num_photos, seed):
    generator = np.random.default_rng(seed)
    confidence = generator.uniform(size=num_photos)
    correct = generator.uniform(size=num_photos) < confidence
    assert calibration_error(confidence, correct) == pytest.approx(plain_error(confidence, correct))
    bins = calibration_bins(confidence, correct)
    assert sum(one.num_photos for one in bins) == num_photos
    assert all(one.low <= one.confidence <= one.high + 1e-12 for one in bins)


def test_calibration_error_of_honest_and_of_boastful_answers():
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.3, 1, 50_000)
    honest = generator.uniform(size=50_000) < confidence
    assert calibration_error(confidence, honest) < 0.02
    sure = np.ones(100)
    assert calibration_error(sure, np.ones(100, bool)) == 0
    assert calibration_error(sure, np.zeros(100, bool)) == 1
    half = np.arange(100) % 2 == 0
    assert calibration_error(np.full(100, 0.9), half) == pytest.approx(0.4)
    # Gaps in different bins do not cancel out.
    both = np.array([0.9] * 50 + [0.1] * 50)
    assert calibration_error(both, np.array([False] * 50 + [True] * 50)) == pytest.approx(0.9)


def test_risk_coverage_worked_by_hand():
    trusts = np.array([0.9, 0.8, 0.8, 0.5])
    correct = np.array([True, False, True, False])
    points = risk_coverage(trusts, correct)
    # No threshold is between the two equal answers.
    assert [(p.threshold, p.coverage, p.risk) for p in points] == [
        (0.9, 0.25, 0.0),
        (0.8, 0.75, pytest.approx(1 / 3)),
        (0.5, 1.0, 0.5),
    ]
    assert risk_area(trusts, correct) == pytest.approx((0 + 0.5 / 2 + 1 / 3 + 2 / 4) / 4)


@settings(max_examples=30)
@given(st.integers(1, 400), st.integers(0, 2**31))
def test_curve_ends_with_all_photos_and_agrees_with_a_count(num_photos, seed):
    generator = np.random.default_rng(seed)
    trusts = generator.integers(0, 50, num_photos) / 50
    correct = generator.uniform(size=num_photos) < 0.8
    points = risk_coverage(trusts, correct)
    assert len(points) <= 100
    assert (points[-1].coverage, points[-1].risk) == (1, pytest.approx(1 - correct.mean()))
    for point in points:
        kept = trusts >= point.threshold
        assert point.coverage == pytest.approx(kept.mean())
        assert point.risk == pytest.approx((~correct[kept]).mean())
    order = generator.permutation(num_photos)
    assert risk_area(trusts[order], correct[order]) == pytest.approx(risk_area(trusts, correct))
