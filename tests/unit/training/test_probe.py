from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from recyclenet.errors import UsageError
from recyclenet.models.config import ModelConfig
from recyclenet.models.network import Network, create_model
from recyclenet.training.probe import fit_head


def network(**fields: int) -> Network:
    torch.manual_seed(0)
    config = ModelConfig.from_name("test_resnet", weights="none", image_size=32, **fields)
    return create_model(config, 3)


def colours(count: int, seed: int) -> DataLoader[tuple[torch.Tensor, int]]:
    """Pictures of three colours, a little noisy: features of any network tell them apart."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(count) % 3
    images = torch.eye(3)[targets][:, :, None, None] * 2 - 1
    noise = torch.randn(count, 3, 32, 32, generator=generator) * 0.2
    return DataLoader(TensorDataset(images + noise, targets), batch_size=8)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "heads"),
    [({}, ("fc",)), ({"freeze_groups": 2, "branches": 2}, ("branches.0.fc", "branches.1.fc"))],
)
def test_the_head_learns_and_nothing_else_changes(
    fields: dict[str, int], heads: tuple[str, ...]
) -> None:
    model = network(**fields)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    accuracy = fit_head(model, colours(30, 0), colours(12, 1))
    assert accuracy == 1.0
    assert model.training
    changed = {key for key, value in model.state_dict().items() if not value.equal(before[key])}
    assert changed == {f"backbone.{head}.{kind}" for head in heads for kind in ("weight", "bias")}
    (images, targets) = next(iter(colours(12, 2)))
    assert (model.eval()(images).argmax(1) == targets).all()


def test_a_head_that_is_no_linear_layer_is_refused(tmp_path: Path) -> None:
    model = network()
    model.backbone.fc = torch.nn.Sequential(torch.nn.Linear(512, 3))
    with pytest.raises(UsageError, match="one linear layer"):
        fit_head(model, colours(6, 0), colours(6, 1))
