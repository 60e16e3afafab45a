"""What every registered attention module must do, on a small backbone of each family."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import nn

from recyclenet.models.attention import attention_names, find_attention
from recyclenet.models.config import ModelConfig
from recyclenet.models.network import Network, create_model
from recyclenet.models.onnx import to_onnx

# Family: a small network of it, and where attention can go.
BACKBONES = {
    "test_resnet": ("features", "blocks"),
    "test_efficientnet": ("blocks",),
    "test_byobnet": ("blocks",),
    "test_convnext": ("features",),
}
PLACES = [(name, place) for name, places in BACKBONES.items() for place in places]
SIZE = 64
# Each module is exported once in each placement; of the other families, one network each.
EXPORTED = {("test_resnet", "features"), ("test_efficientnet", "blocks")}


def build(backbone: str, attention: str, placement: str) -> Network:
    torch.manual_seed(0)
    name = f"{backbone}@{attention}:placement={placement}"
    model = create_model(ModelConfig.from_name(name, weights="none", image_size=SIZE), 3)
    return stir(model)


def stir(model: nn.Module) -> nn.Module:
    """Move everything off the values where a mistake would not show, such as zero gains."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.rand_like(parameter) * 0.2)
    return model


def check_parity(model: nn.Module) -> None:
    content = to_onnx(model, SIZE).SerializeToString()
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    batch = torch.rand(3, 3, SIZE, SIZE) * 2 - 1
    with torch.inference_mode():
        wanted = model(batch).numpy()
    (found,) = session.run(None, {"batch": batch.numpy()})
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4 * max(1, abs(wanted).max()))


@pytest.mark.parametrize("name", attention_names())
@pytest.mark.parametrize("channels", [16, 24, 64])
def test_shape_stays(name: str, channels: int) -> None:
    module = find_attention(name)(channels, {"reduction": 4} if name == "recyclenet" else {})
    for shape in [(2, channels, 7, 7), (1, channels, 5, 9)]:
        assert module(torch.randn(shape)).shape == shape


@pytest.mark.parametrize(("backbone", "placement"), PLACES)
@pytest.mark.parametrize("attention", attention_names())
def test_every_module_learns_repeats_itself_and_exports(
    attention: str, backbone: str, placement: str
) -> None:
    model = build(backbone, attention, placement)
    batch = torch.rand(4, 3, SIZE, SIZE) * 2 - 1
    loss = nn.functional.cross_entropy(model.train()(batch), torch.tensor([0, 1, 2, 0]))
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, f"no gradient for {name}"
        assert parameter.grad.isfinite().all(), f"gradient of {name} is not finite"
    model.eval()
    with torch.inference_mode():
        first, again, alone = model(batch), model(batch), model(batch[:1])
    assert torch.equal(first, again)
    torch.testing.assert_close(first[:1], alone, rtol=1e-3, atol=1e-4)
    if (backbone, placement) in EXPORTED or attention == "recyclenet":
        check_parity(model)
