"""Optimisers, their parameter groups and schedules, from a recipe."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from recyclenet.models.classifier import WasteClassifier, layer_groups
from recyclenet.training.recipe import OptimSection

# PyTorch's one-cycle schedule: where it starts and ends, against its peak.
_START, _END = 1 / 25, 1 / 25e4


def parameter_groups(model: WasteClassifier, optim: OptimSection) -> list[dict[str, Any]]:
    """Return the trainable parameters by rate and decay.

    A layer group's rate is the recipe's times `layer_decay` for every group between it and the last
    one; the head's is `head_multiplier` times the recipe's. Vectors (biases, normalisation) are not
    decayed.
    """
    depths = layer_groups(model)
    last = max(depths.values())
    head = tuple(f"{name}." for name in model.head_names)
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if name.startswith(head):
            factor = optim.head_multiplier
        else:
            factor = optim.layer_decay ** (last - depths[name])
        groups.setdefault((factor, parameter.ndim > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": optim.learning_rate * factor,
            "weight_decay": optim.weight_decay if is_matrix else 0.0,
        }
        for (factor, is_matrix), parameters in groups.items()
    ]


def build_optimizer(model: WasteClassifier, optim: OptimSection) -> torch.optim.Optimizer:
    """Return the recipe's optimiser over `parameter_groups`."""
    groups = parameter_groups(model, optim)
    if optim.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=optim.momentum)
    if optim.optimizer == "adam":
        return torch.optim.Adam(groups)
    return torch.optim.AdamW(groups)


class RateFactor:
    """What the rates are multiplied by at each step.

    Args:
        optim: the recipe's section.
        steps_per_epoch: optimiser steps an epoch.
        total_steps: optimiser steps of the whole run.
    """

    def __init__(self, optim: OptimSection, steps_per_epoch: int, total_steps: int) -> None:
        self._fallen = 1.0  # the factor of 'plateau'
        self._best = math.inf
        self._bad_epochs = 0
        self._optim = optim
        self._steps_per_epoch = steps_per_epoch
        self._total = max(2, total_steps)

    def __call__(self, step: int) -> float:
        """Return the factor for a step, counted from 0."""
        warm = self._optim.warmup * self._total
        if self._optim.schedule == "one-cycle":
            peak = max(warm - 1, 0.0)
            if step <= peak:
                return _cosine(_START, 1.0, step / peak if peak else 1.0)
            return _cosine(1.0, _END, (step - peak) / (self._total - 1 - peak))
        rising = min(1.0, (step + 1) / warm) if warm >= 1 else 1.0
        return rising * self._falling(step, warm)

    def _falling(self, step: int, warm: float) -> float:
        if self._optim.schedule == "cosine":
            return _cosine(1.0, 0.0, max(0.0, step - warm) / max(1.0, self._total - warm))
        if self._optim.schedule == "step":
            epoch = step // self._steps_per_epoch
            return self._optim.step_factor ** (epoch // self._optim.step_epochs)
        return self._fallen  # 1 unless the schedule is "plateau"

    def observe(self, loss: float) -> None:
        """Take an epoch's validation loss; after too many without progress the rates fall."""
        if loss < self._best * (1 - 1e-4):
            self._best, self._bad_epochs = loss, 0
            return
        self._bad_epochs += 1
        if self._optim.schedule == "plateau" and self._bad_epochs > self._optim.step_epochs:
            self._fallen *= self._optim.step_factor
            self._bad_epochs = 0

    @property
    def memory(self) -> dict[str, float]:
        """What it remembers of validation losses, for a checkpoint."""
        return {"fallen": self._fallen, "best": self._best, "bad_epochs": self._bad_epochs}

    @memory.setter
    def memory(self, stored: dict[str, float]) -> None:
        self._fallen, self._best = stored["fallen"], stored["best"]
        self._bad_epochs = int(stored["bad_epochs"])


def _cosine(start: float, end: float, part: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(1.0, part))) / 2
