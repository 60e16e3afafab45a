"""Fit a temperature that depends on the photo: on its similarity to training photos.

One temperature for all photos is a compromise: photos like the training photos deserve more
confidence, photos from elsewhere less. Similarity tells them apart, also if no training photo is
from the same source (docs/domains.md). Compare sample-dependent temperature scaling,
https://arxiv.org/abs/2207.06211.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from recyclenet.core.decision import softmax
from recyclenet.evaluation.calibration import fit_temperature, negative_log_likelihood
from recyclenet.evaluation.table import PredictionTable
from recyclenet.exporting.folds import NUM_FOLDS, validation_folds
from recyclenet.inference.session import Outputs
from recyclenet.models.graph import LogitFactor, nearest, unit_rows

# A photo's similarity is the mean over this many nearest exemplars.
NUM_NEAREST = 3
# Of the squared slope, for standardised similarities.
_PENALTY = 1e-3

Floats = npt.NDArray[np.float32]


def fit_familiarity(
    table: PredictionTable, outputs: Sequence[Outputs], exemplars: Floats
) -> tuple[LogitFactor, Floats] | None:
    """Fit the factor of the logits to the validation photos.

    Args:
        table: the predictions for them.
        outputs: all outputs for each of them, with features.
        exemplars: features of training photos, `(M, D)`.

    Returns:
        The factor, and the logits `(N, K)`, each multiplied by a factor that was fitted without its
        photo. None if there are too few photos or groups of photos, if similar photos do not
        deserve more confidence, or if the likelihood of the labels, cross-validated, does not rise.
    """
    logits, targets = table.logits.astype(np.float64), table.targets
    folds = validation_folds(table.samples)
    if folds is None or len(exemplars) < NUM_NEAREST:
        return None
    mean, std = exemplars.mean(axis=0), exemplars.std(axis=0) + 1e-6
    rows = unit_rows((exemplars - mean) / std)
    features = np.array([found.features for found in outputs], np.float32)
    cosines = unit_rows((features - mean) / std) @ rows.T
    similarity = nearest(cosines, NUM_NEAREST)[:, 0].astype(np.float64)
    centre, spread = similarity.mean(), similarity.std() + 1e-12
    values, exponents = (similarity - centre) / spread, np.empty(len(targets))
    for fold in range(NUM_FOLDS):
        others = folds != fold
        slope, bias = _regress(values[others], logits[others], targets[others])
        exponents[~others] = slope * values[~others] + bias
    exponents -= exponents.mean()  # the temperature is fitted afterwards
    scaled = (logits * np.exp(exponents)[:, None]).astype(np.float32)
    before, after = (
        negative_log_likelihood(found, targets, fit_temperature(found, targets))
        for found in (table.logits, scaled)
    )
    slope, _ = _regress(values, logits, targets)
    if slope <= 0 or not after < before:
        return None
    slope /= spread
    bounds = slope * (similarity.min() - centre), slope * (similarity.max() - centre)
    factor = LogitFactor(mean, std, rows, NUM_NEAREST, slope, -slope * centre, *bounds)
    return factor, scaled


def _regress(
    values: npt.NDArray[np.float64], logits: npt.NDArray[np.float64], targets: npt.NDArray[np.int64]
) -> tuple[float, float]:
    """Return the slope and the bias that maximise the penalised likelihood of the labels.

    Args:
        values: standardised similarities, `(N,)`.
        logits: `(N, K)`.
        targets: `(N,)`.
    """
    start = -np.log(fit_temperature(logits.astype(np.float32), targets))

    def loss(solution: npt.NDArray[np.float64]) -> float:
        slope, bias = solution
        factors = np.exp(np.clip(slope * values + bias, -10, 10))
        chosen = softmax(logits * factors[:, None])[np.arange(len(targets)), targets]
        return float(-np.log(np.maximum(chosen, 1e-300)).mean() + _PENALTY * slope**2)

    slope, bias = minimize(loss, [0.0, start], method="L-BFGS-B").x
    return float(slope), float(bias)
