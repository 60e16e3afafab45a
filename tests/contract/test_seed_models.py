"""Every network of the source documents builds, learns for one step, and exports."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import nn

from recyclenet.models.config import ModelConfig
from recyclenet.models.network import create_model
from recyclenet.models.onnx import to_onnx
from recyclenet.models.seeds import SEED_MODELS


def recalibrate(model: nn.Module, batch: torch.Tensor) -> None:
    """Give batch normalisation the batch's statistics; an untrained network overflows without."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(batch)


@pytest.mark.parametrize("name", SEED_MODELS)
def test_a_seed_network_learns_and_exports(name: str) -> None:
    size = 224 if name.startswith("swin") else 64
    torch.manual_seed(0)
    model = create_model(ModelConfig.from_name(name, weights="none", image_size=size), 6)
    head = model.get_submodule(model.head_names[0]).weight
    before = head.detach().clone()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    batch, targets = torch.rand(4, 3, size, size) * 2 - 1, torch.tensor([0, 1, 2, 3])
    loss = nn.functional.cross_entropy(model.train()(batch), targets)
    loss.backward()
    optimiser.step()
    assert loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert not torch.equal(head, before)
    recalibrate(model, batch)
    content = to_onnx(model, size).SerializeToString()
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        wanted = model.eval()(batch).numpy()
    (found,) = session.run(None, {"batch": batch.numpy()})
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3 * max(1, abs(wanted).max()))
