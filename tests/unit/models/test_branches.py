from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
import torch

from recyclenet.errors import UsageError
from recyclenet.models.config import ModelConfig
from recyclenet.models.network import (
    Network,
    create_model,
    freeze_first,
    layer_groups,
)
from recyclenet.models.onnx import to_onnx
from recyclenet.models.prefix import frozen_prefix

SIZE = 64
NAMES = ["test_efficientnet", "test_resnet@recyclenet:reduction=4", "test_convnext"]


def branched(name: str, num_branches: int = 3) -> Network:
    torch.manual_seed(0)
    config = ModelConfig.from_name(
        name,
        weights="none",
        image_size=SIZE,
        freeze_groups=2,
        branches=num_branches,
        drop_rate=0,
    )
    return create_model(config, 4)


@pytest.mark.parametrize("name", NAMES)
def test_afterwards_the_branches_are_averaged(name: str) -> None:
    model = branched(name).eval()
    batch = torch.randn(5, 3, SIZE, SIZE)
    backbone = model.backbone
    with torch.no_grad():
        maps = backbone.trunk(batch)
        each = [
            branch.forward_head(model.attention(branch.forward_features(maps)))
            for branch in backbone.branches
        ]
        torch.testing.assert_close(model(batch), sum(each) / 3)
    assert not torch.allclose(each[0], each[1])


@pytest.mark.parametrize("name", NAMES)
def test_while_training_each_branch_learns_from_its_own_part(name: str) -> None:
    model = branched(name).train()
    batch = torch.randn(9, 3, SIZE, SIZE)
    logits = model(batch)
    assert logits.shape == (9, 4)
    logits[3:6].sum().backward()
    for number, branch in enumerate(model.backbone.branches):
        touched = any(p.grad is not None and p.grad.any() for p in branch.parameters())
        assert touched == (number == 1)


def test_branches_share_frozen_layers_and_their_groups() -> None:
    one = create_model(ModelConfig(backbone="test_efficientnet", weights="none", image_size=64), 4)
    model = branched("test_efficientnet")
    assert set(layer_groups(model).values()) == set(layer_groups(one).values())
    freeze_first(model, 2)
    prefix = frozen_prefix(model, SIZE)
    assert list(prefix.stages) == ["trunk"]
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {n for n, _ in model.named_parameters() if n.startswith("backbone.trunk.")}
    assert len(model.head_names) == 3


@pytest.mark.parametrize("name", NAMES)
def test_branches_export_for_batches_of_any_size(name: str) -> None:
    model = branched(name, 2).eval()
    content = to_onnx(model, SIZE).SerializeToString()
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    for num_pictures in (1, 5):
        batch = torch.randn(num_pictures, 3, SIZE, SIZE)
        (found,) = session.run(None, {"batch": batch.numpy()})
        with torch.no_grad():
            np.testing.assert_allclose(found, model(batch).numpy(), rtol=1e-3, atol=1e-4)


def test_the_report_knows_where_each_branch_comes_from() -> None:
    config = ModelConfig(backbone="tf_efficientnet_lite0", freeze_groups=4, branches=2)
    report = create_model(config, 3).report
    heads = [
        f"backbone.branches.{b}.classifier.{kind}" for b in (0, 1) for kind in ("weight", "bias")
    ]
    assert sorted(report.fresh) == sorted(heads)
    assert report.dropped == ()


def test_branches_without_a_trunk_are_refused() -> None:
    with pytest.raises(UsageError, match=r"set model.freeze_groups"):
        create_model(ModelConfig(backbone="test_resnet", weights="none", branches=2), 3)
