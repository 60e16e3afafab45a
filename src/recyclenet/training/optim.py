"""Build optimisers, parameter groups and learning-rate schedules from a recipe."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.optim import lr_scheduler as schedules
from torch.optim.lr_scheduler import LRScheduler

from recyclenet.models.network import Network, layer_groups
from recyclenet.training.recipe import OptimSection


def parameter_groups(model: Network, optim: OptimSection) -> list[dict[str, Any]]:
    """Group the trainable parameters by learning rate and weight decay.

    The learning rate of layer group i of n is `learning_rate * layer_decay ** (n - 1 - i)`; that of
    the head is `learning_rate * head_multiplier`. Vectors (biases and normalisation parameters)
    have no weight decay.
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


def build_optimizer(model: Network, optim: OptimSection) -> torch.optim.Optimizer:
    """Return the recipe's optimiser with `parameter_groups`."""
    groups = parameter_groups(model, optim)
    if optim.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=optim.momentum)
    if optim.optimizer == "adam":
        return torch.optim.Adam(groups)
    return torch.optim.AdamW(groups)


def build_schedule(
    optimizer: torch.optim.Optimizer, optim: OptimSection, steps_per_epoch: int, total_steps: int
) -> LRScheduler:
    """Return the recipe's schedule; step it after every optimiser step.

    For "plateau" this is only the warm-up; `build_plateau` lowers the learning rates afterwards.

    Args:
        optimizer: its parameter groups hold the peak learning rates.
        optim: the recipe's section.
        steps_per_epoch: optimiser steps per epoch.
        total_steps: optimiser steps of the whole run.
    """
    warm_steps = optim.warmup * total_steps
    if optim.schedule == "one-cycle":
        return schedules.OneCycleLR(
            optimizer,
            max_lr=[group["lr"] for group in optimizer.param_groups],
            total_steps=max(2, total_steps),
            # PyTorch divides by zero if the warm-up has exactly one step.
            pct_start=optim.warmup if warm_steps > 1 else 0.0,
            cycle_momentum=False,
        )
    # The warm-up multiplies the learning rates, so it can be chained with the other schedules.
    parts: list[LRScheduler] = [
        schedules.LinearLR(
            optimizer, 1 / max(1.0, warm_steps), total_iters=max(0, round(warm_steps) - 1)
        )
    ]
    if optim.schedule == "cosine":
        num_steps = max(1, total_steps - round(warm_steps))
        cosine = schedules.CosineAnnealingLR(optimizer, num_steps)
        return schedules.SequentialLR(optimizer, [*parts, cosine], [round(warm_steps)])
    if optim.schedule == "step":
        step_size = optim.step_epochs * steps_per_epoch
        parts.append(schedules.StepLR(optimizer, step_size, optim.step_factor))
    return schedules.ChainedScheduler(parts, optimizer)


def build_plateau(
    optimizer: torch.optim.Optimizer, optim: OptimSection
) -> schedules.ReduceLROnPlateau:
    """Return the schedule "plateau"; step it with every epoch's validation loss."""
    return schedules.ReduceLROnPlateau(
        optimizer, factor=optim.step_factor, patience=optim.step_epochs
    )
