from __future__ import annotations

import pytest
import torch
from timm.layers import EcaModule
from timm.models._efficientnet_blocks import EdgeResidual, InvertedResidual, SqueezeExcite
from timm.models.mobilevit import MobileVitBlock
from torch import nn

from recyclenet.errors import UsageError
from recyclenet.models.attention.glu import GatedLinearUnit
from recyclenet.models.config import ModelConfig
from recyclenet.models.mobilevit import InvertedResidualVitBlock
from recyclenet.models.network import Network, create_model

V2 = "efficientnetv2_rw_t"
VIT = "mobilevit_xxs"


def build(name: str) -> Network:
    return create_model(ModelConfig.from_name(name, weights="none", image_size=64), 3)


def count(model: nn.Module, kind: type[nn.Module]) -> int:
    return sum(isinstance(module, kind) for module in model.modules())


def test_eca_takes_the_place_of_every_squeeze() -> None:
    before, after = build(V2), build(f"{V2}+eca")
    assert count(after, SqueezeExcite) == 0
    assert count(after, EcaModule) == count(before, SqueezeExcite) > 0


def test_eca_comes_into_every_fused_block() -> None:
    model = build(f"{V2}+fused_eca")
    fused = [module for module in model.modules() if isinstance(module, EdgeResidual)]
    assert fused
    assert all(isinstance(block.se, EcaModule) for block in fused)
    assert count(model, SqueezeExcite) == count(build(V2), SqueezeExcite)


def test_a_gated_linear_unit_takes_the_place_of_every_squeeze() -> None:
    model = build(f"{V2}+glu")
    assert count(model, SqueezeExcite) == 0
    assert count(model, GatedLinearUnit) == count(build(V2), SqueezeExcite)


def test_leaky_relu_takes_the_place_of_every_silu() -> None:
    before, after = build(V2), build(f"{V2}+leaky_relu")
    assert count(after, nn.SiLU) == 0
    assert count(after, nn.LeakyReLU) == count(before, nn.SiLU) > 0


def test_inverted_residuals_take_the_place_of_self_attention() -> None:
    before, after = build(VIT), build(f"{VIT}+inverted_residuals")
    assert count(after, MobileVitBlock) == 0
    blocks = [module for module in after.modules() if isinstance(module, InvertedResidualVitBlock)]
    assert len(blocks) == count(before, MobileVitBlock)
    depths = [len(m.transformer) for m in before.modules() if isinstance(m, MobileVitBlock)]
    assert [len(block.residuals) for block in blocks] == depths
    assert not any("attn" in name and "qkv" in name for name, _ in after.named_modules())
    residual = blocks[0].residuals[0]
    assert isinstance(residual, InvertedResidual)
    assert residual.has_skip
    assert isinstance(residual.bn1.act, nn.ReLU6)
    assert isinstance(residual.bn3.act, nn.Identity)  # the bottleneck is linear


def test_a_5x5_convolution_comes_into_every_local_part() -> None:
    before, after = build(VIT), build(f"{VIT}+local_5x5")
    wide = [m for m in after.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (5, 5)]
    assert len(wide) == count(before, MobileVitBlock)
    both = build(f"{VIT}+local_5x5+inverted_residuals")
    assert both.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 3)


def test_attention_in_blocks_fills_the_places_and_takes_over_the_filled_ones() -> None:
    model = build(f"{V2}@cbam")
    assert count(model, SqueezeExcite) == 0
    names = [name for name, _ in model.named_modules() if name.endswith(".se")]
    assert all("Cbam" in type(model.get_submodule(name)).__name__ for name in names)
    assert len(names) >= count(build(V2), SqueezeExcite)


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("test_resnet+eca", "squeeze-and-excitation"),
        ("test_resnet+fused_eca", "Fused-MBConv"),
        ("test_resnet+leaky_relu", "SiLU"),
        ("test_resnet+inverted_residuals", "MobileViT"),
        ("test_resnet+local_5x5", "MobileViT"),
        (f"{V2}+eca+glu", "squeeze-and-excitation"),
    ],
)
def test_an_edit_with_nothing_to_change_is_refused(name: str, needs: str) -> None:
    with pytest.raises(UsageError, match=f"needs {needs}"):
        build(name)


@pytest.mark.parametrize("name", ["test_convnext@se", "test_vit@cbam"])
def test_blocks_without_a_place_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="placement = 'features'"):
        build(name)


def test_features_that_are_no_map_are_refused() -> None:
    with pytest.raises(UsageError, match="needs a feature map of"):
        build("test_vit@recyclenet")


def test_attention_follows_features_whose_channels_come_last() -> None:
    name = "swin_tiny_patch4_window7_224@recyclenet"
    model = create_model(ModelConfig.from_name(name, weights="none"), 3)
    model(torch.randn(2, 3, 224, 224)).sum().backward()
    own = [p for n, p in model.named_parameters() if n.startswith("attention.")]
    assert own
    assert all(p.grad is not None and p.grad.isfinite().all() for p in own)
