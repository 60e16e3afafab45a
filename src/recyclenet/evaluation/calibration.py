"""What is fitted on validation photos after training: the temperature and the threshold."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recyclenet.core.decision import softmax

# The threshold keeps this share of the validation photos.
KEPT_SHARE = 0.95
# On easy photos every confidence comes out as 1; a threshold of 1 would leave no room for rounding.
MAX_THRESHOLD = 0.999


def fit_temperature(logits: npt.NDArray[np.float32], targets: npt.NDArray[np.int64]) -> float:
    """Return the temperature that makes the validation labels most likely.

    Temperature scaling, https://arxiv.org/abs/1706.04599; the likelihood has one peak in the
    inverse temperature, so a bounded search finds it.

    Args:
        logits: `(N, K)`.
        targets: `(N,)`.

    Returns:
        0.05 to 20.
    """

    from scipy.optimize import minimize_scalar  # comes with the extras, not with the light tier

    def loss(log_temperature: float) -> float:
        return negative_log_likelihood(logits, targets, float(np.exp(log_temperature)))

    bounds = float(np.log(0.05)), float(np.log(20.0))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-9})
    return float(np.exp(found.x))


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


def fit_threshold(logits: npt.NDArray[np.float32], temperature: float) -> float:
    """Return the confidence below which an answer counts as not known.

    Chosen so that at least `KEPT_SHARE` of the validation photos are answered.

    Returns:
        0 to `MAX_THRESHOLD`.
    """
    confidence = softmax(logits, temperature).max(axis=1)
    return min(float(np.quantile(confidence, 1 - KEPT_SHARE)), MAX_THRESHOLD)
