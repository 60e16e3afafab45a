"""Confidence intervals and significance tests over several runs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats


def mean_interval(scores: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95% confidence interval of a mean (Student's t); nan for a single score."""
    if len(scores) < 2:
        return float("nan"), float("nan")
    half = stats.t.ppf(0.975, len(scores) - 1) * scores.std(ddof=1) / np.sqrt(len(scores))
    return float(scores.mean() - half), float(scores.mean() + half)


def paired_p_value(scores: npt.NDArray[np.float64], baseline: npt.NDArray[np.float64]) -> float:
    """Return the p-value of a paired t-test; nan for one pair or if all differences are equal."""
    differences = scores - baseline
    if len(scores) < 2 or np.allclose(differences, differences[0]):
        return float("nan")
    return float(stats.ttest_rel(scores, baseline).pvalue)
