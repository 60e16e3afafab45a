"""Calibrated probabilities from logits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def softmax(logits: npt.ArrayLike, temperature: float = 1.0) -> npt.NDArray[np.float64]:
    """Return calibrated probabilities.

    Args:
        logits: `(..., K)`.
        temperature: divisor of the logits, fitted on validation photos (Guo et al. 2017,
            https://arxiv.org/abs/1706.04599).

    Returns:
        `(..., K)` float64; the last axis sums to 1.
    """
    scaled = np.asarray(logits, np.float64) / temperature
    scaled = scaled - scaled.max(axis=-1, keepdims=True)
    exponent = np.exp(scaled)
    return np.asarray(exponent / exponent.sum(axis=-1, keepdims=True))
