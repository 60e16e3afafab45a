"""Feature map and Grad-CAM work for each family of networks, before any training."""

from __future__ import annotations

import pytest
import torch

from recyclenet.models.config import ModelConfig
from recyclenet.models.network import create_model
from recyclenet.models.spatial import METHODS, trace

SIZE = 64
NAMES = (
    "resnet18",
    "tf_efficientnet_lite0",
    "mobilevit_xxs",
    "swin_tiny_patch4_window7_224",
    "resnet18@recyclenet",
    "swin_tiny_patch4_window7_224@recyclenet",
)


@pytest.mark.parametrize("name", NAMES)
def test_every_family_has_a_map(name: str) -> None:
    torch.manual_seed(0)
    network = create_model(ModelConfig.from_name(name, weights="none", image_size=SIZE), 6).eval()
    batch = torch.randn(1, 3, SIZE, SIZE)
    found = trace(network.requires_grad_(False), batch)
    torch.testing.assert_close(found.logits.detach(), network(batch))
    for index in (0, 5):
        for run in METHODS.values():
            heat = run(found, index)
            assert heat.shape == (1, 2, 2)
            assert heat.isfinite().all()
            assert heat.min() >= 0
    assert METHODS["feature-map"](found, 0).max() > 1e-4  # no constant that a norm leaves
