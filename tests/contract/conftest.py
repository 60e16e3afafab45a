"""Comparing a network in PyTorch with its ONNX graph."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import nn

from recyclenet.models.onnx import to_onnx

CheckParity = Callable[..., None]


@pytest.fixture(scope="session")
def check_parity() -> CheckParity:
    """A function that exports a network and compares its answers for a batch with the graph's."""

    def check(model: nn.Module, batch: torch.Tensor, tolerance: float = 1e-4) -> None:
        content = to_onnx(model, batch.shape[-1]).SerializeToString()
        session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
        with torch.inference_mode():
            wanted = model(batch).numpy()
        (found,) = session.run(None, {"batch": batch.numpy()})
        scale = max(1, abs(wanted).max())
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=tolerance * scale)

    return check
