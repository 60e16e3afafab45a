"""Correct a model's logits so that it knows a few photos of one class beside the others' exemplars.

Logistic regression: a linear layer over the features, with an L2 penalty, is added to the model's
logits; those of a new class start as the mean of the others. The taught
photos' targets are their label; the exemplars' are the model's own probabilities, so that its other
answers stay (Li and Hoiem 2016, https://arxiv.org/abs/1606.09282). The taught row's bias is then
lowered until few held-out photos of other classes are lost to it. All fits of a lesson share one
coordinate system, the span of its rows, so that a fit takes a fraction of a second.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from recyclenet.core.decision import sigmoid, softmax
from recyclenet.inference.exemplars import Exemplars
from recyclenet.inference.head import Head, widen

# On the squared change of a row, for standardised features.
PENALTY = 0.3
UNKNOWN_PENALTY = 0.01  # on that of the unknown score's row
_NUM_STEPS, _SMALLEST_STEP = 300, 1e-6

Floats = npt.NDArray[np.float64]


class Lesson:
    """The photos of one class, to be fitted with the exemplars.

    Args:
        exemplars: of the model.
        photos: features of P photos in V views each, `(P, V, D)` float32.
        logits: the model's for them, `(P, V, K)` float32.
        target: the class of the photos; the number of classes for a new one.
        temperature: divisor of the logits before the softmax.
        max_lost: the largest share of the held-out photos of other classes, 0 to 1, that the
            taught class may take over.

    Attributes:
        logits: the model's for the first view of each photo, `(P, K)`, with the new class.
        held_out_logits: those for the held-out photos, `(M, K)`.
    """

    def __init__(
        self,
        exemplars: Exemplars,
        photos: npt.NDArray[np.float32],
        logits: npt.NDArray[np.float32],
        target: int,
        temperature: float,
        max_lost: float,
    ) -> None:
        self._temperature = temperature
        self._exemplars = exemplars
        self._max_lost = max_lost
        self._num_old = exemplars.train_logits.shape[1]
        self._num_classes = max(self._num_old, target + 1)
        self._target = target
        self.held_out_logits = widen(exemplars.held_out_logits, self._num_classes)
        self.logits = widen(logits[:, 0], self._num_classes)
        self._num_photos, self._num_views, size = photos.shape
        self._photos = photos.reshape(-1, size)
        rows = np.concatenate([exemplars.train, self._photos]).astype(np.float64)
        self._targets = np.append(
            exemplars.train_targets, np.full(self._num_photos * self._num_views, target)
        )
        given = np.concatenate([exemplars.train_logits, logits.reshape(-1, self._num_old)])
        self._base: Floats = widen(given, self._num_classes).astype(np.float64) / temperature
        num_exemplars = len(exemplars.train)
        self._wanted: Floats = np.eye(self._num_classes)[self._targets]
        self._wanted[:num_exemplars, : self._num_old] = softmax(
            self._base[:num_exemplars, : self._num_old]
        )
        self._mean, std = exemplars.train.mean(axis=0), exemplars.train.std(axis=0)
        # A feature that is nearly always the same must not count for much.
        self._scale = std + 0.1 * std.mean() + 1e-12
        rows = (rows - self._mean) / self._scale
        self._rows, self._axes = _spanned(rows)

    def fit(
        self, chosen: Sequence[int], guards: npt.NDArray[np.bool_] | slice = slice(None)
    ) -> Head:
        """Return the correction fitted to the exemplars and the chosen photos.

        Args:
            chosen: numbers of the photos.
            guards: which held-out photos must not be lost; all by default.
        """
        head = self._regress(chosen)
        logits = self.held_out_logits[guards] + head(self._exemplars.held_out[guards])
        targets = self._exemplars.held_out_targets[guards]
        logits, targets = logits[targets != self._target], targets[targets != self._target]
        taught = logits[:, self._target].copy()
        logits[:, self._target] = -np.inf
        right = logits.argmax(axis=1) == targets
        # The lead of the taught class on each photo that would be right without it.
        excess = np.sort((taught - logits.max(axis=1))[right])[::-1]
        allowed = int(self._max_lost * len(logits))
        bias = head.bias.copy()
        if len(excess) > allowed and excess[allowed] > 0:
            bias[self._target] -= excess[allowed] * 1.001
        return Head(head.weight, bias)

    def fit_unknown(self, unknown: Head, chosen: Sequence[int]) -> Head:
        """Return the layer of the unknown score, changed so that it knows the chosen photos.

        The targets of the exemplars are their scores before the lesson, so that these stay.
        Descends a quadratic bound of the loss, whose curvature is at most 1/4 per row.

        Args:
            unknown: one row, the log-odds that a photo shows none of the classes.
            chosen: numbers of the photos.
        """
        taken = self._taken(chosen)
        rows, weights = self._rows[taken], self._row_weights(taken)
        num_exemplars = len(self._exemplars.train)
        base = np.empty(len(taken))
        base[:num_exemplars] = unknown(self._exemplars.train)[:, 0]
        numbers = taken[num_exemplars:] - num_exemplars
        base[num_exemplars:] = unknown(self._photos[numbers])[:, 0]
        wanted = np.where(np.arange(len(base)) < num_exemplars, sigmoid(base), 0)
        change = np.zeros(rows.shape[1])
        curvature = rows.T @ (0.25 * weights[:, None] * rows)
        curvature += UNKNOWN_PENALTY * np.eye(len(change))
        inverse = np.linalg.inv(curvature)
        for _ in range(_NUM_STEPS):
            error = weights * (sigmoid(base + rows @ change) - wanted)
            step = inverse @ (rows.T @ error + UNKNOWN_PENALTY * change)
            change -= step
            if np.abs(step).max() < _SMALLEST_STEP:
                break
        weight = change @ self._axes / self._scale
        return Head(
            (unknown.weight + weight).astype(np.float32),
            (unknown.bias - weight @ self._mean).astype(np.float32),
        )

    def _taken(self, chosen: Sequence[int]) -> npt.NDArray[np.int64]:
        """Return the numbers of the rows of all exemplars and of the chosen photos' views."""
        num_exemplars = len(self._exemplars.train)
        views = np.arange(self._num_views)
        photos = [num_exemplars + number * self._num_views + views for number in chosen]
        return np.concatenate([np.arange(num_exemplars), *photos]).astype(np.int64)

    def _row_weights(self, taken: npt.NDArray[np.int64]) -> Floats:
        """Return weights that sum to 1; every class counts the same, however many rows it has."""
        targets = self._targets[taken]
        counts = np.bincount(targets, minlength=self._num_classes)
        weights: Floats = 1 / counts[targets] / len(counts)
        return weights

    def _regress(self, chosen: Sequence[int]) -> Head:
        change, offset = (self._temperature * part for part in self._solve(self._taken(chosen)))
        weight = change @ self._axes / self._scale
        return Head(weight.astype(np.float32), (offset - weight @ self._mean).astype(np.float32))

    def _solve(self, taken: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Return the change of the weights in the lesson's coordinates, and of the bias.

        Nesterov's accelerated gradient descent, started again where the loss would rise.
        """
        rows, base, wanted = self._rows[taken], self._base[taken], self._wanted[taken]
        num_classes = base.shape[1]
        weights = self._row_weights(taken)[:, None]
        rows = np.column_stack([rows, np.ones(len(rows))])
        curvature = 0.5 * np.linalg.eigvalsh(rows.T @ (weights * rows))[-1] + PENALTY
        penalty = np.full((num_classes, rows.shape[1]), PENALTY)
        penalty[self._target, -1] = 0  # the taught row's bias is free
        now = ahead = np.zeros((num_classes, rows.shape[1]))
        momentum = 1.0
        for _ in range(_NUM_STEPS):
            error = (softmax(base + rows @ ahead.T) - wanted) * weights
            gradient = error.T @ rows + penalty * ahead
            following = ahead - gradient / curvature
            if (gradient * (following - now)).sum() > 0:
                momentum = 1.0
            if np.abs(following - now).max() < _SMALLEST_STEP:
                break
            grown = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
            ahead = following + (momentum - 1) / grown * (following - now)
            now, momentum = following, grown
        return now[:, :-1], now[:, -1]


def _spanned(rows: Floats) -> tuple[Floats, Floats]:
    """Return N rows `(N, D)` as coordinates `(N, R)` along orthonormal axes `(R, D)`, R <= N."""
    if len(rows) >= rows.shape[1]:
        return rows, np.eye(rows.shape[1])
    values, vectors = np.linalg.eigh(rows @ rows.T)
    kept = values > 1e-9 * values[-1]
    roots = np.sqrt(values[kept])
    return vectors[:, kept] * roots, (vectors[:, kept] / roots).T @ rows
