"""Fit the temperature and the threshold to the validation photos after training."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recyclenet.core.decision import softmax, trust

# Share of the validation photos whose confidence reaches the threshold.
KEPT_SHARE = 0.95
# If every confidence is 1, a threshold of 1 would reject photos because of rounding errors.
MAX_THRESHOLD = 0.999
# Leaves an interval of about 1e-9 in the logarithm of the temperature.
_NUM_HALVINGS = 32


def fit_temperature(logits: npt.NDArray[np.float32], targets: npt.NDArray[np.int64]) -> float:
    """Return the temperature that maximises the likelihood of the labels.

    Temperature scaling, https://arxiv.org/abs/1706.04599. The slope of the likelihood in the
    inverse temperature falls with it, so a bisection finds the single maximum.

    Args:
        logits: `(N, K)`.
        targets: `(N,)`.

    Returns:
        The temperature, 0.05 to 20.
    """
    values = np.asarray(logits, np.float64)
    values = values - values.max(axis=1, keepdims=True)
    chosen = values[np.arange(len(targets)), targets].mean()
    low, high = np.log(0.05), np.log(20.0)
    for _ in range(_NUM_HALVINGS):
        middle = (low + high) / 2
        expected = (softmax(values, float(np.exp(middle))) * values).sum(axis=1).mean()
        if expected > chosen:  # overconfident
            low = middle
        else:
            high = middle
    return float(np.exp((low + high) / 2))


def negative_log_likelihood(
    logits: npt.NDArray[np.float32], targets: npt.NDArray[np.int64], temperature: float
) -> float:
    """Return the mean negative log-likelihood of the labels, nats.

    Args:
        logits: `(N, K)`.
        targets: `(N,)`.
        temperature: divides the logits.
    """
    chosen = softmax(logits, temperature)[np.arange(len(targets)), targets]
    return float(-np.log(np.maximum(chosen, 1e-300)).mean())


def fit_threshold(
    logits: npt.NDArray[np.float32],
    temperature: float,
    unknown: npt.NDArray[np.float32] | None = None,
) -> float:
    """Return the trust (see `core.decision.trust`) below which an answer counts as not known.

    At least `KEPT_SHARE` of the validation photos reach it.

    Returns:
        The threshold, 0 to `MAX_THRESHOLD`.
    """
    scores = trust(softmax(logits, temperature), unknown)
    return min(float(np.quantile(scores, 1 - KEPT_SHARE)), MAX_THRESHOLD)
