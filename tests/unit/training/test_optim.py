from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from recyclenet.models.classifier import WasteClassifier, create_model
from recyclenet.models.config import ModelConfig
from recyclenet.training.optim import RateFactor, build_optimizer, parameter_groups
from recyclenet.training.recipe import OptimSection


def network() -> WasteClassifier:
    return create_model(ModelConfig.from_name("test_efficientnet", weights="none"), 3)


def factors(steps_per_epoch: int = 5, epochs: int = 4, **fields: Any) -> list[float]:
    total = steps_per_epoch * epochs
    factor = RateFactor(OptimSection(**fields), steps_per_epoch, total)
    return [factor(step) for step in range(total)]


@pytest.mark.parametrize("warmup", [0.1, 0.15, 0.5])
@pytest.mark.parametrize("total", [20, 57, 1000])
def test_one_cycle_is_pytorchs(warmup: float, total: int) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=total, pct_start=warmup, cycle_momentum=False
    )
    mine = RateFactor(OptimSection(warmup=warmup), 5, total)
    for step in range(total):
        assert mine(step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-6, abs=1e-12)
        optimizer.step()
        if step < total - 1:
            schedule.step()


def test_step_falls_every_so_many_epochs() -> None:
    found = factors(schedule="step", step_epochs=2, step_factor=0.1, warmup=0)
    assert found == pytest.approx([1.0] * 10 + [0.1] * 10)


def test_cosine_falls_to_nothing() -> None:
    found = factors(schedule="cosine", warmup=0)
    assert found[0] == 1.0
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.01


@pytest.mark.parametrize("schedule", ["cosine", "step", "plateau", "constant"])
def test_every_schedule_can_warm_up(schedule: str) -> None:
    found = factors(schedule=schedule, warmup=0.25)
    assert found[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


def test_plateau_falls_after_too_many_epochs_without_progress() -> None:
    fields = {"schedule": "plateau", "step_epochs": 1, "step_factor": 0.5, "warmup": 0}
    factor = RateFactor(OptimSection.model_validate(fields), 5, 100)
    seen = []
    for loss in (1.0, 0.9, 0.95, 0.93, 0.8, 0.8, 0.8):
        factor.observe(loss)
        seen.append(factor(0))
    assert seen == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25]
    other = RateFactor(OptimSection.model_validate(fields), 5, 100)
    other.memory = factor.memory
    assert other(0) == 0.25


def test_rates_follow_the_layers() -> None:
    optim = OptimSection(learning_rate=1.0, head_multiplier=10, layer_decay=0.5)
    model = network()
    rates = {
        id(p): group["lr"] for group in parameter_groups(model, optim) for p in group["params"]
    }
    assert rates[id(model.backbone.classifier.weight)] == 10
    assert rates[id(model.backbone.conv_stem.weight)] < rates[id(model.backbone.conv_head.weight)]
    assert set(rates) == {id(p) for p in model.parameters()}


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
