"""Fit a kernel machine to what the frozen layers make of the training photos.

Fine-tuning changes the late layers and forgets some of what they knew. The frozen layers keep their
knowledge of texture and colour, and of photos that are nearly the same as a training photo: kernel
ridge regression on their statistics makes other mistakes than the network (docs/domains.md).
Compare Evci et al. 2022, https://arxiv.org/abs/2201.03529.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from recyclenet.core.decision import softmax
from recyclenet.core.progress import Progress
from recyclenet.data.manifest import Manifest
from recyclenet.evaluation.calibration import fit_temperature, negative_log_likelihood
from recyclenet.evaluation.predict import predict
from recyclenet.evaluation.table import PredictionTable
from recyclenet.exporting.folds import NUM_FOLDS, validation_folds
from recyclenet.inference.classifier import Classifier
from recyclenet.inference.session import Outputs
from recyclenet.models.graph import Gate, KernelMachine, nearest, project, unit_rows

# More training photos are sampled evenly; each adds 0.3 kB to the file.
MAX_ANCHORS = 6000
NUM_DIMENSIONS = 256
# Chosen on the validation photos of four data sets (docs/domains.md).
_BANDWIDTH, _RIDGE = 2.0, 0.03
_LEVELS = 127
# Of the gate; chosen by leaving each data set out, too. Its share is 0.5 where the similarity is
# _HALF_AT standard deviations from the mean of the validation photos.
_NUM_NEAREST, _HALF_AT, _STEEPNESS, _START_SCALE = 3, -1.5, 3.0, 0.5

Floats = npt.NDArray[np.float32]


class FittedKernel(NamedTuple):
    """A kernel machine, and how it answers for its own training photos.

    Attributes:
        machine: its logits are to be added to the network's.
        gate: mixes the sum with the untouched branch; None if there is none.
        memory: for each training photo, its logits minus those of a fit without it, `(K,)`.
    """

    machine: KernelMachine
    gate: Gate | None
    memory: dict[Path, Floats]


def fit_kernel(
    classifier: Classifier,
    train: Manifest,
    val: Manifest,
    progress: Progress,
    *,
    has_start: bool = False,
) -> FittedKernel | None:
    """Fit a kernel machine to the training photos, and its weight to the validation photos.

    Args:
        classifier: its logits are the network's, its features the statistics, followed by the
            logits of an untouched branch if there is one.
        train: photos to fit to.
        val: photos that decide how much the machine counts beside the network.
        progress: reports the number of photos done.
        has_start: whether there is an untouched branch.

    Returns:
        None if there are too few photos, or if the likelihood of the validation photos' labels,
        cross-validated, does not rise.

    Raises:
        DataError: no photo can be read.
    """
    if validation_folds(val) is None or len(train) <= _NUM_NEAREST:
        return None
    photos, rows, start = _statistics(classifier, train.evenly(MAX_ANCHORS), progress, has_start)
    machine, memory = regress(rows, photos.targets, len(photos.class_names))
    table, val_rows, _ = _statistics(classifier, val, progress, has_start)
    weight = fit_weight(table, machine(val_rows))
    if not weight:
        return None
    gate = fit_gate(machine.cosines(val_rows)) if has_start else None
    machine = machine._replace(coefficients=machine.coefficients * weight)
    memory = memory * weight
    if gate:
        fitted, cosines = photos.logits + machine(rows), machine.cosines(rows)
        memory = gate.mix(fitted, start, gate.share(cosines)) - gate.mix(
            fitted - memory, start, gate.share(cosines, leave_out=True)
        )
    paths = (sample.path for sample in photos.samples)
    return FittedKernel(machine, gate, dict(zip(paths, memory, strict=True)))


def _statistics(
    classifier: Classifier, photos: Manifest, progress: Progress, has_start: bool
) -> tuple[PredictionTable, Floats, Floats]:
    """Return predictions, statistics `(N, S)` and an untouched branch's logits, if there is one."""
    kept: list[Outputs] = []
    table = predict(classifier, photos, progress, keep=kept.append)
    rows = np.array([found.features for found in kept], np.float32)
    end = rows.shape[1] - has_start * len(table.class_names)
    return table, rows[:, :end], rows[:, end:]


def fit_gate(cosines: Floats) -> Gate:
    """Return the gate for validation photos with these similarities `(N, M)` to the anchors."""
    similarity = nearest(cosines, _NUM_NEAREST)
    slope = _STEEPNESS / max(float(similarity.std()), 1e-6)
    bias = -slope * float(similarity.mean()) - _STEEPNESS * _HALF_AT
    return Gate(_NUM_NEAREST, slope, bias, _START_SCALE)


def regress(
    rows: Floats, targets: npt.NDArray[np.int64], num_classes: int
) -> tuple[KernelMachine, Floats]:
    """Return the machine whose logits are closest to the targets, by ridge regression.

    Projection and anchors are rounded first, so that the coefficients belong to the rounded ones.
    The second result, `(M, K)`, is each photo's logits minus its leave-one-out logits: those of a
    machine fitted without it.

    Args:
        rows: statistics `(M, D)`.
        targets: their classes `(M,)`.
        num_classes: K.
    """
    mean, std = rows.mean(axis=0), rows.std(axis=0) + 1e-5
    standard = (rows - mean) / std
    units = unit_rows(standard)
    axes = np.linalg.eigh(units.T @ units)[1][:, -NUM_DIMENSIONS:]
    projection, _ = _rounded(axes)
    anchors, steps = _rounded(project(standard, projection), axis=1)
    points = (anchors * steps).astype(np.float64)
    kernel = np.exp(_BANDWIDTH * (points @ points.T - 1))
    kernel[np.diag_indices(len(kernel))] += _RIDGE
    inverse = np.linalg.inv(kernel)
    coefficients = inverse @ (np.eye(num_classes)[targets] - 1 / num_classes)
    # The error for a photo left out is its coefficient over the inverse's diagonal; with the photo,
    # it is the coefficient times the penalty.
    memory = coefficients / inverse.diagonal()[:, None] - _RIDGE * coefficients
    machine = KernelMachine(
        mean,
        std,
        projection,
        anchors,
        steps,
        coefficients.astype(np.float32),
        _BANDWIDTH,
    )
    return machine, memory.astype(np.float32)


def _rounded(values: Floats, axis: int | None = None) -> tuple[npt.NDArray[np.int8], Floats]:
    """Return values as int8, and their unit; one for each index of the other axis, if given."""
    largest = np.abs(values).max(axis=axis, keepdims=True)
    step = np.asarray(np.maximum(largest, 1e-12) / _LEVELS, np.float32)
    return np.round(values / step).astype(np.int8), step


def fit_weight(table: PredictionTable, added: Floats) -> float:
    """Return the factor of logits to be added to a table's; 0 if they do not help.

    Args:
        table: the network's predictions for the validation photos.
        added: logits `(N, K)` of the same photos.
    """
    targets, folds = table.targets, validation_folds(table.samples)
    if folds is None:  # some photos cannot be read
        return 0.0
    sums = np.empty_like(table.logits)
    for fold in range(NUM_FOLDS):
        others = folds != fold
        weight = _weight(table.logits[others], added[others], targets[others])
        sums[~others] = table.logits[~others] + weight * added[~others]
    before, after = (
        negative_log_likelihood(found, targets, fit_temperature(found, targets))
        for found in (table.logits, sums)
    )
    return _weight(table.logits, added, targets) if after < before else 0.0


def _weight(logits: Floats, added: Floats, targets: npt.NDArray[np.int64]) -> float:
    """Return the factor, 0 or more, with which the sum fits the labels best at any temperature."""
    first, second = logits.astype(np.float64), added.astype(np.float64)
    rows = np.arange(len(targets))

    def loss(scales: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        shares = softmax(scales[0] * first + scales[1] * second)
        value = -np.log(np.maximum(shares[rows, targets], 1e-300)).mean()
        error = shares.copy()
        error[rows, targets] -= 1
        return value, np.array([(error * part).sum() / len(rows) for part in (first, second)])

    bounds = [(1e-3, None), (0, None)]
    scale, weight = minimize(loss, [1.0, 1.0], jac=True, method="L-BFGS-B", bounds=bounds).x
    return float(weight / scale)
