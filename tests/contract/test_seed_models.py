"""Every network of the source documents builds, learns for one step, and exports.

The largest have two blocks in each stage here, and all their blocks by `-m exhaustive`.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from recyclenet.models.config import ModelConfig
from recyclenet.models.network import Network, create_model
from recyclenet.models.seeds import SEED_MODELS

LARGEST = (
    "resnet101@recyclenet",
    "resnet152@recyclenet",
    "pyramidnet101_a360",
    "swin_tiny_patch4_window7_224",
)


def build(name: str) -> tuple[Network, torch.Tensor]:
    """Return a network, and a batch for it."""
    size = 224 if name.startswith("swin") else 64
    torch.manual_seed(0)
    model = create_model(ModelConfig.from_name(name, weights="none", image_size=size), 6)
    return model, torch.rand(4, 3, size, size) * 2 - 1


def shorten(module: nn.Module) -> None:
    """Remove the blocks that repeat the one before, but for the second block of a stage."""
    for child in module.children():
        if isinstance(child, nn.Sequential):
            shapes = [[tensor.shape for tensor in block.parameters()] for block in child]
            for number in range(len(child) - 1, 1, -1):
                if shapes[number] and shapes[number] == shapes[number - 1]:
                    del child[number]
        shorten(child)


def recalibrate(model: nn.Module, batch: torch.Tensor) -> None:
    """Give batch normalisation the batch's statistics; an untrained network overflows without."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(batch)


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        *((name, name not in LARGEST) for name in SEED_MODELS),
        *(pytest.param(name, True, marks=pytest.mark.exhaustive) for name in LARGEST),
    ],
)
def test_a_seed_network_learns_and_exports(name: str, whole: bool, check_parity) -> None:
    model, batch = build(name)
    if not whole:
        shorten(model.backbone)
    head = model.get_submodule(model.head_names[0]).weight
    before = head.detach().clone()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    loss = nn.functional.cross_entropy(model.train()(batch), torch.tensor([0, 1, 2, 3]))
    loss.backward()
    optimiser.step()
    assert loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert not torch.equal(head, before)

    recalibrate(model, batch)
    check_parity(model, batch, tolerance=1e-3)
