"""Optimisers, their parameter groups and schedules, from a recipe."""

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


def build_optimizer(model: Network, optim: OptimSection) -> torch.optim.Optimizer:
    """Return the recipe's optimiser over `parameter_groups`."""
    groups = parameter_groups(model, optim)
    if optim.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=optim.momentum)
    if optim.optimizer == "adam":
        return torch.optim.Adam(groups)
    return torch.optim.AdamW(groups)


def build_schedule(
    optimizer: torch.optim.Optimizer, optim: OptimSection, steps_per_epoch: int, total_steps: int
) -> LRScheduler:
    """Return the recipe's schedule, which is stepped after every optimiser step.

    The schedule "plateau" only warms up here; `build_plateau` lowers the rates afterwards.

    Args:
        optimizer: its parameter groups hold the peak rates.
        optim: the recipe's section.
        steps_per_epoch: optimiser steps an epoch.
        total_steps: optimiser steps of the whole run.
    """
    warm_steps = optim.warmup * total_steps
    if optim.schedule == "one-cycle":
        return schedules.OneCycleLR(
            optimizer,
            max_lr=[group["lr"] for group in optimizer.param_groups],
            total_steps=max(2, total_steps),
            # A rise of exactly one step would make PyTorch divide by zero.
            pct_start=optim.warmup if warm_steps > 1 else 0.0,
            cycle_momentum=False,
        )
    # Warm-up multiplies the rates until it ends, so it can run beside any of the others.
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
    """Return the schedule "plateau", which is stepped with every epoch's validation loss."""
    return schedules.ReduceLROnPlateau(
        optimizer, factor=optim.step_factor, patience=optim.step_epochs
    )
