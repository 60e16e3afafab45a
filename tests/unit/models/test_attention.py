from __future__ import annotations

import pytest
import torch
from torch import nn

from recyclenet.errors import UsageError
from recyclenet.models.attention import find_attention, registry
from recyclenet.models.attention.glu import GatedLinearUnit
from recyclenet.models.attention.recyclenet import RecycleNetAttention
from recyclenet.models.config import ModelConfig
from recyclenet.models.cost import num_parameters
from recyclenet.models.network import create_model


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))


@pytest.mark.parametrize("combine", ["sum", "max", "mul"])
def test_recyclenet_attention_is_its_formula(combine: str) -> None:
    torch.manual_seed(0)
    module = RecycleNetAttention(32, combine=combine, reduction=4, kernel_size=3)  # type: ignore[arg-type]
    x = torch.randn(2, 32, 5, 6)
    squeeze, expand = module.channel_gate[1], module.channel_gate[3]  # type: ignore[index]
    hidden = (x.mean((2, 3)) @ squeeze.weight[:, :, 0, 0].T + squeeze.bias).relu()
    gate = torch.sigmoid(hidden @ expand.weight[:, :, 0, 0].T + expand.bias)
    by_channel = x * gate[:, :, None, None]
    kernel = module.spatial_gate[0].weight  # type: ignore[index]
    by_place = x * torch.sigmoid(nn.functional.conv2d(x, kernel, padding=1))
    wanted = {
        "sum": by_channel + by_place,
        "max": torch.maximum(by_channel, by_place),
        "mul": by_channel * by_place,
    }[combine]
    torch.testing.assert_close(module(x), wanted)


def test_one_gate_alone_is_that_gate() -> None:
    x = torch.randn(1, 16, 4, 4)
    spatial = RecycleNetAttention(16, channel=False)
    assert spatial.spatial_gate is not None
    torch.testing.assert_close(spatial(x), x * spatial.spatial_gate(x))
    channel = RecycleNetAttention(16, spatial=False)
    assert channel.channel_gate is not None
    torch.testing.assert_close(channel(x), x * channel.channel_gate(x))


def test_a_gated_linear_unit_is_its_formula() -> None:
    torch.manual_seed(0)
    unit = GatedLinearUnit(6)
    x = torch.randn(2, 6, 3, 3)

    def diagonal(layer: nn.Conv2d) -> torch.Tensor:
        assert layer.bias is not None
        return x * layer.weight[:, 0, 0, 0][:, None, None] + layer.bias[:, None, None]

    torch.testing.assert_close(unit(x), diagonal(unit.linear) * diagonal(unit.gate).sigmoid())


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("recyclenet", {}, 2 * 64 * 64 // 16 + 4 + 64 + 49 * 64),
        ("recyclenet", {"channel": False, "kernel_size": 3}, 9 * 64),
        ("se", {}, 2 * 64 * 64 // 16 + 4 + 64),
        ("cbam", {}, 2 * 64 * 64 // 16 + 4 + 64 + 2 * 49 + 2),
        ("eca", {}, 3),
        ("eca", {"kernel_size": 7}, 7),
        ("glu", {}, 4 * 64),
        ("glu", {"groups": 1}, 2 * 64 * 64 + 2 * 64),
    ],
)
def test_parameters_are_as_documented(name: str, options: dict[str, int], count: int) -> None:
    assert num_parameters(find_attention(name)(64, options)) == count


@pytest.mark.usefixtures("register")
def test_a_users_own_module_works_by_name() -> None:
    @registry.register_attention("shade", placement="features")
    class Shade(nn.Module):
        """Shade: everything times a factor."""

        def __init__(self, channels: int, factor: float = 0.5) -> None:
            super().__init__()
            self.factor = factor

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.factor

    config = ModelConfig.from_name("test_resnet@shade:factor=0.25", weights="none")
    model = create_model(config, 3).eval()
    assert isinstance(model.attention, Shade)
    assert model.attention.factor == 0.25
    assert find_attention("shade").summary == "Shade: everything times a factor."
    with pytest.raises(UsageError, match="'shade' is already registered"):
        registry.register_attention("shade")


@pytest.mark.parametrize("name", ["a+b", "a@b", "a:b", "a,b", ""])
def test_a_name_that_no_model_name_could_hold_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="letters, digits"):
        registry.register_attention(name)
