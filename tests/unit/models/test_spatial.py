"""Feature map and Grad-CAM find the last feature map of a network, whatever its layout."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from recyclenet.errors import UsageError
from recyclenet.models.config import ModelConfig
from recyclenet.models.network import Network, create_model
from recyclenet.models.spatial import METHODS, feature_map, gradcam, trace

SIZE = 64


class Corner(nn.Module):
    """A backbone whose answer depends on one corner of the image only.

    Args:
        layout: of its features.
    """

    def __init__(self, layout: str) -> None:
        super().__init__()
        self.num_features = 3
        self.num_prefix_tokens = 2 if layout == "tokens" else 0
        self.layout = layout
        self.register_buffer("mask", torch.zeros(8, 8))
        self.mask[6:, :2] = 1

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        maps = nn.functional.avg_pool2d(x, SIZE // 8) * self.mask
        if self.layout == "NHWC":
            return maps.permute(0, 2, 3, 1)
        if self.layout == "tokens":
            tokens = maps.flatten(2).transpose(1, 2)
            return torch.cat([9 * torch.ones(len(x), 2, 3), tokens], dim=1)
        return maps

    def forward_head(self, x: torch.Tensor) -> torch.Tensor:
        axes = {"NCHW": (2, 3), "NHWC": (1, 2), "tokens": (1,)}
        if self.layout == "tokens":
            x = x[:, self.num_prefix_tokens :]
        return x.mean(axes[self.layout]) @ torch.eye(3)[:, :2]


def test_the_peak_is_in_the_corner_that_decides() -> None:
    batch = torch.rand(2, 3, SIZE, SIZE) + 0.5
    maps = {}
    for layout in ("NCHW", "NHWC", "tokens"):
        network = Network(Corner(layout), nn.Identity()).eval()
        for method, run in METHODS.items():
            found = run(trace(network, batch), 1)
            assert found.shape == (2, 8, 8)
            assert found[:, 6:, :2].min() > 0
            assert found.sum() == pytest.approx(float(found[:, 6:, :2].sum()))
            maps[layout, method] = found
    for method in METHODS:
        torch.testing.assert_close(maps["NCHW", method], maps["NHWC", method])
        torch.testing.assert_close(maps["NCHW", method], maps["tokens", method])


def test_gradcam_depends_on_the_class_and_the_feature_map_does_not() -> None:
    network = Network(Corner("NCHW"), nn.Identity()).eval()
    batch = torch.zeros(1, 3, SIZE, SIZE)
    batch[:, 0] = 1  # speaks for the first class only
    found = trace(network, batch)
    assert gradcam(found, 0).any()
    assert not gradcam(found, 1).any()
    assert torch.equal(feature_map(found, 0), feature_map(found, 1))


def built(name: str, **options: Any) -> Network:
    torch.manual_seed(0)
    config = ModelConfig.from_name(name, weights="none", image_size=SIZE, **options)
    return create_model(config, 4).eval().requires_grad_(False)


@pytest.mark.parametrize(
    ("name", "options", "num_maps"),
    [
        ("test_resnet", {}, 96),
        ("test_efficientnet", {}, 256),  # the head's input: the last block is followed by more
        ("test_resnet@recyclenet:reduction=4", {}, 96),
        ("test_resnet@recyclenet:reduction=4", {"freeze_groups": 2, "branches": 3}, 3 * 96),
        ("test_efficientnet", {"freeze_groups": 2, "branches": 2}, 2 * 256),
        ("test_vit", {}, 64),
        ("pyramidnet18_a48", {}, 112),
    ],
)
def test_the_last_map_of_a_network(name: str, options: dict[str, Any], num_maps: int) -> None:
    network = built(name, **options)
    batch = torch.randn(2, 3, SIZE, SIZE)
    found = trace(network, batch)
    torch.testing.assert_close(found.logits.detach(), network(batch))
    assert found.arranged(found.maps).shape[1] == num_maps
    for run in METHODS.values():
        heat = run(found, 3)
        assert heat.shape[0] == 2
        assert heat.shape[1] == heat.shape[2] > 1
        assert heat.isfinite().all()
        assert heat.min() >= 0
    assert not any(module._forward_hooks for module in network.modules())


def test_gradcam_of_branches_is_that_of_their_mean() -> None:
    network = built("test_resnet", freeze_groups=2, branches=2)
    batch = torch.randn(1, 3, SIZE, SIZE)
    maps = network.backbone.forward_features(batch)
    weights = [branch.fc.weight[2] / 2 for branch in network.backbone.branches]
    expected = sum(
        (w[:, None, None] * part / part[0, 0].numel()).sum(1)
        for w, part in zip(weights, maps.split(1), strict=True)
    )
    torch.testing.assert_close(gradcam(trace(network, batch), 2), expected.relu())


def test_features_without_a_map_are_refused() -> None:
    class Flat(nn.Module):
        num_features = 3

        def forward_features(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean((2, 3))

        def forward_head(self, x: torch.Tensor) -> torch.Tensor:
            return x

    found = trace(Network(Flat(), nn.Identity()), torch.rand(1, 3, 8, 8))
    for run in METHODS.values():
        with pytest.raises(UsageError, match=r"no feature map: .* shape 3; use the method occlus"):
            run(found, 0)
