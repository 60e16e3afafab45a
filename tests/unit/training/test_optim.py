from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from recyclenet.models.config import ModelConfig
from recyclenet.models.network import Network, create_model
from recyclenet.training.optim import (
    build_optimizer,
    build_plateau,
    build_schedule,
    parameter_groups,
)
from recyclenet.training.recipe import OptimSection


def network() -> Network:
    return create_model(ModelConfig.from_name("test_efficientnet", weights="none"), 3)


def rates(steps_per_epoch: int = 5, epochs: int = 4, **fields: Any) -> list[float]:
    optim, total = OptimSection(**fields), steps_per_epoch * epochs
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = build_schedule(optimizer, optim, steps_per_epoch, total)
    found = []
    for _ in range(total):
        found.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        schedule.step()
    return found


def test_one_cycle_rises_to_the_peak_and_falls_to_nothing() -> None:
    found = rates(schedule="one-cycle", warmup=0.25)
    assert found[:5] == sorted(found[:5])
    assert found[0] == pytest.approx(1 / 25)
    assert found[4] == pytest.approx(1.0)
    assert found[4:] == sorted(found[4:], reverse=True)
    assert found[-1] == pytest.approx(1 / 25e4)


@pytest.mark.parametrize("warmup", [0.0, 0.05, 0.1, 0.9])
@pytest.mark.parametrize("schedule", ["one-cycle", "cosine", "step", "plateau", "constant"])
@pytest.mark.parametrize("epochs", [1, 2, 4])
def test_any_number_of_steps_can_be_scheduled(schedule: str, warmup: float, epochs: int) -> None:
    found = rates(1, epochs, schedule=schedule, warmup=warmup)
    assert all(0 <= rate <= 1 for rate in found)


def test_step_falls_every_so_many_epochs() -> None:
    found = rates(schedule="step", step_epochs=2, step_factor=0.1, warmup=0)
    assert found == pytest.approx([1.0] * 10 + [0.1] * 10)


def test_cosine_falls_to_nothing() -> None:
    found = rates(schedule="cosine", warmup=0)
    assert found[0] == 1.0
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.01


@pytest.mark.parametrize("schedule", ["cosine", "step", "plateau", "constant"])
def test_every_schedule_can_warm_up(schedule: str) -> None:
    found = rates(schedule=schedule, warmup=0.25)
    assert found[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


def test_plateau_falls_after_too_many_epochs_without_progress() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    fields = {"schedule": "plateau", "step_epochs": 1, "step_factor": 0.5, "warmup": 0}
    plateau = build_plateau(optimizer, OptimSection.model_validate(fields))
    seen = []
    for loss in (1.0, 0.9, 0.95, 0.93, 0.8, 0.8, 0.8):
        plateau.step(loss)
        seen.append(optimizer.param_groups[0]["lr"])
    assert seen == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25]


def test_rates_follow_the_layers() -> None:
    optim = OptimSection(learning_rate=1.0, head_multiplier=10, layer_decay=0.5)
    model = network()
    by_parameter = {
        id(p): group["lr"] for group in parameter_groups(model, optim) for p in group["params"]
    }
    assert by_parameter[id(model.backbone.classifier.weight)] == 10
    stem, last = model.backbone.conv_stem.weight, model.backbone.conv_head.weight
    assert by_parameter[id(stem)] < by_parameter[id(last)]
    assert set(by_parameter) == {id(p) for p in model.parameters()}


def test_vectors_do_not_decay() -> None:
    model = network()
    for group in parameter_groups(model, OptimSection(weight_decay=0.1)):
        assert group["weight_decay"] == (0.1 if group["params"][0].ndim > 1 else 0.0)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)],
)
def test_optimisers_come_by_name(name: str, kind: type[torch.optim.Optimizer]) -> None:
    optimizer = build_optimizer(network(), OptimSection.model_validate({"optimizer": name}))
    assert type(optimizer) is kind
    if name == "sgd":
        assert optimizer.param_groups[0]["momentum"] == 0.9
