from __future__ import annotations

import pytest
import torch

from recyclenet.models.config import ModelConfig
from recyclenet.models.network import Network, create_model, freeze_first
from recyclenet.models.prefix import frozen_prefix

SIZE = 64


def frozen(name: str, num_groups: int) -> Network:
    torch.manual_seed(0)
    model = create_model(ModelConfig.from_name(name, weights="none", image_size=SIZE), 3)
    freeze_first(model, num_groups)
    return model.eval()


@pytest.mark.parametrize(
    ("name", "num_groups", "last"),
    [
        ("test_efficientnet", 2, "blocks.0"),
        ("test_resnet@recyclenet:reduction=4", 2, "layer1"),
        ("test_convnext", 2, "stages.0"),
        ("tf_efficientnet_lite0", 4, "blocks.2"),
        ("mobilevit_xxs+local_5x5", 2, None),
        ("test_vit", 1, None),
    ],
)
def test_a_network_without_its_prefix_makes_the_same_of_its_maps(
    name: str, num_groups: int, last: str | None
) -> None:
    model = frozen(name, num_groups)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    batch = torch.randn(2, 3, SIZE, SIZE)
    with torch.no_grad():
        expected = model(batch)
        prefix = frozen_prefix(model, SIZE)
        maps = prefix(batch)
        prefix.skip()
        found = model(maps)
    torch.testing.assert_close(found, expected)
    if last is not None:
        assert list(prefix.stages)[-1] == last
        assert maps.shape != batch.shape
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_nothing_frozen_is_no_prefix() -> None:
    assert not frozen_prefix(frozen("test_resnet", 0), SIZE).stages
