"""Fit the unknown score of a model file: the probability that a photo shows none of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from recyclenet.core.progress import Progress
from recyclenet.data.manifest import Manifest
from recyclenet.errors import DataError, RecycleNetError
from recyclenet.inference.classifier import Classifier
from recyclenet.inference.head import Head
from recyclenet.training.photos import log_left_out

# More training photos than this change the score little; they are taken evenly.
MAX_PHOTOS = 3000
MIN_NEGATIVES = 10
# Of the squared weights of standardised features; chosen by leaving out one domain at a time.
_PENALTY = 0.03


def check_negatives(paths: Sequence[Path]) -> None:
    """Refuse too few negatives before the export takes its time.

    Raises:
        DataError: there are some, but fewer than `MIN_NEGATIVES`.
    """
    if 0 < len(paths) < MIN_NEGATIVES:
        raise _too_few(len(paths))


def _too_few(count: int, reason: str = "") -> DataError:
    return DataError(
        f"the unknown score needs {MIN_NEGATIVES} or more readable photos of other things, "
        f"not {count}{reason}"
    )


def fit_unknown(
    classifier: Classifier, train: Manifest, negatives: Sequence[Path], progress: Progress
) -> Head:
    """Return a linear layer with one output, the log-odds that a photo shows none of the classes.

    Logistic regression on the features separates the training photos from the negatives, both
    sides with the same weight.

    Args:
        classifier: the exported model, with features.
        train: the training photos.
        negatives: photos of things that are none of the classes.
        progress: reports the number of photos done.

    Raises:
        DataError: fewer than `MIN_NEGATIVES` of the negatives can be read.
    """
    chosen = train.samples[:: -(-len(train) // MAX_PHOTOS)]
    paths = [sample.path for sample in chosen] + list(negatives)
    rows, targets = [], []
    errors: list[RecycleNetError] = []
    for done, (_, outputs, error) in enumerate(classifier.outputs_many(paths), 1):
        if outputs is not None:
            rows.append(outputs.features)
            targets.append(done > len(chosen))
        elif error is not None:
            errors.append(error)
        progress(done, len(paths), "fitting the unknown score")
    log_left_out(errors, len(paths))
    if sum(targets) < MIN_NEGATIVES:
        raise _too_few(sum(targets), f"; first error: {errors[0]}" if errors else "")
    return _regress(np.array(rows, np.float64), np.array(targets))


def _regress(features: npt.NDArray[np.float64], targets: npt.NDArray[np.bool_]) -> Head:
    """Fit balanced logistic regression with an L2 penalty.

    Args:
        features: `(N, D)`.
        targets: which photos are negatives, `(N,)`.
    """
    mean, std = features.mean(axis=0), features.std(axis=0) + 1e-6
    scaled = (features - mean) / std
    shares = np.where(targets, 0.5 / targets.sum(), 0.5 / (~targets).sum())
    signs = np.where(targets, 1.0, -1.0)

    def loss(solution: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        weight, bias = solution[:-1], solution[-1]
        margins = signs * (scaled @ weight + bias)
        slopes = -signs * shares * 0.5 * (1 - np.tanh(0.5 * margins))
        value = shares @ np.logaddexp(0, -margins) + _PENALTY * weight @ weight
        return float(value), np.append(slopes @ scaled + 2 * _PENALTY * weight, slopes.sum())

    found = minimize(loss, np.zeros(features.shape[1] + 1), jac=True, method="L-BFGS-B")
    weight = found.x[:-1] / std
    bias = found.x[-1] - weight @ mean
    return Head(weight[None].astype(np.float32), np.array([bias], np.float32))
