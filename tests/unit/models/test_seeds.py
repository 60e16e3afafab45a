"""The source documents' parameter counts, in millions."""

from __future__ import annotations

import pytest

from recyclenet.models.config import ModelConfig
from recyclenet.models.cost import num_parameters
from recyclenet.models.network import create_model

COUNTS = {
    "resnet18": 11.18,
    "resnet34": 21.29,
    "resnet50": 23.52,
    "resnet18@se": 11.27,
    "resnet34@se": 21.45,
    "resnet50@se": 26.05,
    "resnet18@cbam": 11.27,
    "resnet34@cbam": 21.45,
    "resnet50@cbam": 26.05,
    "resnet18@recyclenet": 11.24,
    "resnet34@recyclenet": 21.35,
    "resnet50@recyclenet": 24.15,
    "resnet18@recyclenet:channel=false": 11.20,
    "resnet18@recyclenet:combine=max": 11.24,
    "resnet18@recyclenet:combine=mul": 11.24,
}


@pytest.mark.parametrize(("name", "millions"), COUNTS.items())
def test_parameter_counts_are_the_published_ones(name: str, millions: float) -> None:
    model = create_model(ModelConfig.from_name(name, weights="none"), 6)
    assert round(num_parameters(model) / 1e6, 2) == millions
