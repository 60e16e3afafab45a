from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from recyclenet.experiments.statistics import mean_interval, paired_p_value


def test_intervals_are_the_textbooks() -> None:
    low, high = mean_interval(np.array([0.93, 0.95, 0.94]))
    assert (low + high) / 2 == pytest.approx(0.94)
    assert (high - low) / 2 == pytest.approx(4.302653 * 0.01 / math.sqrt(3), rel=1e-5)
    assert math.isnan(mean_interval(np.array([0.93]))[0])


def test_paired_tests_are_the_textbooks() -> None:
    scores, baseline = np.array([0.93, 0.95, 0.94]), np.array([0.92, 0.93, 0.94])
    expected = stats.ttest_1samp(scores - baseline, 0).pvalue
    assert paired_p_value(scores, baseline) == pytest.approx(expected)
    assert math.isnan(paired_p_value(baseline, baseline))
