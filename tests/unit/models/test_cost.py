from __future__ import annotations

import pytest
from torch import nn

from recyclenet.errors import UsageError
from recyclenet.models.config import ModelConfig
from recyclenet.models.cost import count_layers, multiply_adds, num_parameters
from recyclenet.models.network import create_model


def test_a_convolution_costs_what_arithmetic_says() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Conv2d(8, 8, 3, groups=8))
    assert multiply_adds(network, 32) == 16 * 16 * 8 * 27 + 14 * 14 * 8 * 9
    assert num_parameters(network) == 8 * 28 + 8 * 10


def test_known_networks_cost_what_is_published() -> None:
    model = create_model(ModelConfig.from_name("resnet18", weights="none"), 1000)
    assert multiply_adds(model, 224) == pytest.approx(1.82e9, rel=0.005)
    assert num_parameters(model) == 11_689_512


def test_layers_add_up_to_the_network() -> None:
    config = ModelConfig.from_name("test_efficientnet@recyclenet", weights="none", image_size=64)
    model = create_model(config, 3).train()
    layers = count_layers(model, 64)
    assert model.training
    assert sum(layer.parameters for layer in layers) == num_parameters(model)
    assert sum(layer.multiply_adds for layer in layers) == multiply_adds(model, 64)
    assert layers[0].name == "conv_stem"
    assert "attention" in [layer.name for layer in layers]
    assert layers[-1].output == (3,)


def test_a_size_that_a_network_cannot_take_is_refused() -> None:
    model = create_model(ModelConfig.from_name("test_vit", weights="none", image_size=32), 3)
    with pytest.raises(UsageError, match="images of 33 px"):
        multiply_adds(model, 33)
