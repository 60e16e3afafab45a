from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from recyclenet.models.config import ModelConfig
from recyclenet.models.network import create_model
from recyclenet.training.lr_finder import RateSweep, draw_sweep, suggest, sweep_learning_rate
from recyclenet.training.module import TrainingModule
from recyclenet.training.recipe import Recipe


@pytest.fixture(scope="module")
def swept() -> tuple[TrainingModule, dict[str, torch.Tensor], RateSweep]:
    torch.manual_seed(0)
    model = create_model(ModelConfig.from_name("test_resnet", weights="none"), 3)
    recipe = Recipe()
    module = TrainingModule(model, torch.ones(3), recipe)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    batches = [(torch.randn(8, 3, 32, 32), torch.arange(8) % 3) for _ in range(4)]
    return module, before, sweep_learning_rate(module, batches, recipe, num_steps=60)


def test_the_network_is_left_untouched(
    swept: tuple[TrainingModule, dict[str, torch.Tensor], RateSweep],
) -> None:
    module, before, _ = swept
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    assert all(p.grad is None for p in module.parameters())


def test_the_sweep_grows_and_suggests_within_itself(
    swept: tuple[TrainingModule, dict[str, torch.Tensor], RateSweep], tmp_path: Path
) -> None:
    sweep = swept[2]
    assert list(sweep.rates) == sorted(sweep.rates)
    assert len(sweep.rates) == len(sweep.losses) >= 20
    assert np.isfinite(sweep.losses).all()
    for rate in (sweep.steepest, sweep.valley):
        assert sweep.rates[0] <= rate <= sweep.rates[-1]
    draw_sweep(sweep, tmp_path / "sweep.png")
    with Image.open(tmp_path / "sweep.png") as picture:
        assert picture.width > 600


def test_suggestions_lie_on_the_slope() -> None:
    rates = np.geomspace(1e-6, 1, 121)
    # Flat, then a fall whose middle is at 1e-3, then a rise beyond 1e-1.
    losses = (
        2 - 1 / (1 + np.exp(-3 * (np.log10(rates) + 3))) + 5 * np.maximum(0, np.log10(rates) + 1)
    )
    steepest, valley = suggest(rates, losses)
    assert steepest == pytest.approx(1e-3, rel=0.2)
    assert 1e-4 < valley < 1e-1
