"""The learning-rate finder: increase the learning rate in a short run until the loss diverges.

Source: https://arxiv.org/abs/1506.01186. The valley is fastai's default suggestion.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from recyclenet.core.figures import write_figure
from recyclenet.core.progress import Progress, silent
from recyclenet.training.machine import autocast
from recyclenet.training.module import Batch, TrainingModule
from recyclenet.training.optim import build_optimizer
from recyclenet.training.recipe import Recipe

LOW, HIGH = 1e-6, 1.0
_SMOOTHING = 0.9
_DIVERGED = 4.0


@dataclass(frozen=True, slots=True)
class RateSweep:
    """The result of a learning-rate sweep.

    Attributes:
        rates: learning rates, in increasing order.
        losses: smoothed training loss at each learning rate.
        steepest: learning rate at which the loss falls fastest.
        valley: learning rate about halfway through the longest decrease of the loss.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    steepest: float
    valley: float


def sweep_learning_rate(
    module: TrainingModule,
    batches: Iterable[Batch],
    recipe: Recipe,
    progress: Progress = silent,
    *,
    num_steps: int = 100,
) -> RateSweep:
    """Sweep the learning rate from `LOW` to `HIGH` on a copy of the network.

    Args:
        module: the module to train; it is not changed.
        batches: training batches, repeated as needed.
        recipe: the resolved recipe; the sweep keeps its learning-rate multipliers.
        progress: reports the number of steps done.
        num_steps: number of steps; the sweep ends early once the loss exceeds four times its
            minimum.
    """
    module = copy.deepcopy(module)
    optimizer = build_optimizer(module.model, recipe.optim)
    factors = [group["lr"] / recipe.optim.learning_rate for group in optimizer.param_groups]
    module.on_train_epoch_start()
    rates = np.geomspace(LOW, HIGH, num_steps)
    average, lowest = 0.0, np.inf
    losses: list[float] = []
    stream = chain.from_iterable(repeat(batches))
    for index, (rate, batch) in enumerate(zip(rates, stream, strict=False)):
        for group, factor in zip(optimizer.param_groups, factors, strict=True):
            group["lr"] = float(rate) * factor
        seed = int(np.random.default_rng([recipe.fit.seed, index]).integers(2**31))
        images, targets = batch
        with autocast(recipe):
            on_device = images.to(module.device), targets.to(module.device)
            loss = module.step(on_device, seed, optimizer, torch.Tensor.backward)
        average = _SMOOTHING * average + (1 - _SMOOTHING) * float(loss)
        losses.append(average / (1 - _SMOOTHING ** (index + 1)))
        if not np.isfinite(losses[-1]):
            losses.pop()
            break
        progress(index + 1, num_steps, "sweeping")
        lowest = min(lowest, losses[-1])
        if losses[-1] > _DIVERGED * lowest:
            break
    swept = tuple(float(rate) for rate in rates[: len(losses)])
    return RateSweep(swept, tuple(losses), *suggest(swept, losses))


def suggest(rates: Iterable[float], losses: Iterable[float]) -> tuple[float, float]:
    """Return the steepest and the valley learning rate of a sweep.

    Both ignore the first tenth, where the average has not settled, and everything after the lowest
    loss.
    """
    x, y = np.log(np.asarray(list(rates))), np.asarray(list(losses))
    first = len(y) // 10
    last = max(int(np.argmin(y)) + 1, first + 2)
    x, y = x[first:last], y[first:last]
    steepest = int(np.argmin(np.gradient(y, x))) if len(y) > 1 else 0
    # Length of the longest strictly decreasing subsequence that ends at each loss.
    lengths = np.ones(len(y), dtype=int)
    for i in range(len(y)):
        for j in range(i):
            if y[i] < y[j]:
                lengths[i] = max(lengths[i], lengths[j] + 1)
    end = int(np.argmax(lengths))
    start = end - int(lengths[end]) + 1
    third = (end - start) // 3
    valley = min(start + third + third // 2, len(y) - 1)
    return float(np.exp(x[steepest])), float(np.exp(x[valley]))


def draw_sweep(sweep: RateSweep, path: Path) -> None:
    """Plot loss against learning rate, mark both suggestions, and write a PNG."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(sweep.rates, sweep.losses, color="#2d6fa3")
    for name, rate, colour in (
        ("valley", sweep.valley, "#c65f2d"),
        ("steepest", sweep.steepest, "#5a8f3c"),
    ):
        height = float(np.interp(np.log(rate), np.log(sweep.rates), sweep.losses))
        axes.plot([rate], [height], "o", color=colour, markersize=9, label=f"{name}: {rate:.2e}")
    axes.set(xscale="log", xlabel="learning rate", ylabel="training loss (smoothed)")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    write_figure(path, figure)
