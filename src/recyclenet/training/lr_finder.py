"""The learning-rate finder: a short run whose rate grows until the loss does.

Source: https://arxiv.org/abs/1506.01186; the valley is fastai's default suggestion.
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

from recyclenet.core.files import write_figure
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
    """What a sweep saw.

    Attributes:
        rates: learning rates, growing.
        losses: smoothed training loss at each.
        steepest: the rate where the loss falls fastest.
        valley: the rate two thirds into the longest fall of the loss.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    steepest: float
    valley: float


def find_rates(
    module: TrainingModule,
    batches: Iterable[Batch],
    recipe: Recipe,
    progress: Progress = silent,
    *,
    num_steps: int = 100,
) -> RateSweep:
    """Sweep the learning rate from `LOW` to `HIGH` on a copy of the network.

    Args:
        module: what would be trained; it is left untouched.
        batches: training batches, repeated where they are too few.
        recipe: the resolved recipe; its rate is replaced, its multipliers are kept.
        progress: reports steps done.
        num_steps: steps of the sweep; it ends early where the loss has grown fourfold.
    """
    module = copy.deepcopy(module)
    optimizer = build_optimizer(module.model, recipe.optim)
    factors = [group["lr"] / recipe.optim.learning_rate for group in optimizer.param_groups]
    module.on_train_epoch_start()
    rates = np.geomspace(LOW, HIGH, num_steps)
    smooth, least = 0.0, np.inf
    losses: list[float] = []
    stream = chain.from_iterable(repeat(batches))
    for index, (rate, batch) in enumerate(zip(rates, stream, strict=False)):
        for group, factor in zip(optimizer.param_groups, factors, strict=True):
            group["lr"] = float(rate) * factor
        seed = int(np.random.default_rng([recipe.fit.seed, index]).integers(2**31))
        images, targets = batch
        with autocast(recipe):
            there = images.to(module.device), targets.to(module.device)
            loss = module.step(there, seed, optimizer, torch.Tensor.backward)
        smooth = _SMOOTHING * smooth + (1 - _SMOOTHING) * float(loss)
        losses.append(smooth / (1 - _SMOOTHING ** (index + 1)))
        if not np.isfinite(losses[-1]):
            losses.pop()
            break
        progress(index + 1, num_steps, "sweeping")
        least = min(least, losses[-1])
        if losses[-1] > _DIVERGED * least:
            break
    swept = tuple(float(rate) for rate in rates[: len(losses)])
    return RateSweep(swept, tuple(losses), *suggest(swept, losses))


def suggest(rates: Iterable[float], losses: Iterable[float]) -> tuple[float, float]:
    """Return the steepest and the valley suggestion of a sweep.

    The first tenth, where the average still settles, and what comes after the least loss are left
    out.
    """
    x, y = np.log(np.asarray(list(rates))), np.asarray(list(losses))
    first = len(y) // 10
    last = max(int(np.argmin(y)) + 1, first + 2)
    x, y = x[first:last], y[first:last]
    steepest = int(np.argmin(np.gradient(y, x))) if len(y) > 1 else 0
    # The longest strictly falling subsequence, by its last member.
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
    """Draw loss against rate with both suggestions marked; write a PNG."""
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
