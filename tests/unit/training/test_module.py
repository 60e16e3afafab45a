from __future__ import annotations

from typing import Any

import pytest
import torch

from recyclenet.models.config import ModelConfig
from recyclenet.models.network import create_model
from recyclenet.training.module import TrainingModule
from recyclenet.training.optim import build_optimizer
from recyclenet.training.recipe import Recipe

NUM_CLASSES = 3


def module(**sections: dict[str, Any]) -> TrainingModule:
    torch.manual_seed(0)
    recipe = Recipe.model_validate(
        {
            "optim": {"optimizer": "sgd", "learning_rate": 0.1, **sections.get("optim", {})},
            "fit": {"freeze_norm": True, **sections.get("fit", {})},
            "augment": {"mixup": 0, **sections.get("augment", {})},
            "model": {"drop_rate": 0, **sections.get("model", {})},
        }
    )
    config = ModelConfig.from_name(
        "test_resnet", weights="none", drop_rate=0, **sections.get("model", {})
    )
    model = create_model(config, NUM_CLASSES)
    built = TrainingModule(model, torch.ones(NUM_CLASSES), recipe)
    built.on_train_epoch_start()
    return built


def step(built: TrainingModule, seed: int = 0) -> tuple[float, dict[str, torch.Tensor]]:
    torch.manual_seed(1)
    batch = torch.randn(12, 3, 32, 32), torch.randint(0, NUM_CLASSES, (12,))
    optimizer = build_optimizer(built.model, built._recipe.optim)
    loss = built.step(batch, seed, optimizer, torch.Tensor.backward)
    return float(loss), built.model.state_dict()


@pytest.mark.parametrize(
    ("sharpness", "branches"), [("none", 1), ("sam", 1), ("asam", 1), ("none", 3), ("asam", 3)]
)
def test_a_batch_in_parts_is_the_same_batch(sharpness: str, branches: int) -> None:
    optim = {"sharpness": sharpness}
    model = {"branches": branches, "freeze_groups": 1} if branches > 1 else {}
    whole = step(module(optim=optim, model=model))
    parts = step(module(optim=optim, model=model, fit={"micro_batches": 4}))
    assert parts[0] == pytest.approx(whole[0], rel=1e-5)
    for name, tensor in whole[1].items():
        torch.testing.assert_close(parts[1][name], tensor, rtol=1e-4, atol=1e-5)


def test_sharpness_changes_the_step() -> None:
    plain = step(module())[1]
    sharp = step(module(optim={"sharpness": "sam", "rho": 0.5}))[1]
    assert any(not torch.equal(plain[name], sharp[name]) for name in plain)


def test_class_weights_weigh_the_loss() -> None:
    built = module(optim={"label_smoothing": 0})
    loss, _ = step(built)
    weighted = module(optim={"label_smoothing": 0})
    weighted._class_weights = torch.full((NUM_CLASSES,), 2.0)
    assert step(weighted)[0] == pytest.approx(2 * loss, rel=1e-5)


@pytest.mark.parametrize("kinds", [("mixup",), ("cutmix",), ("mixup", "cutmix"), ()])
@pytest.mark.parametrize("channels", [3, 80])  # pictures, and maps of frozen layers
def test_pictures_and_their_targets_are_mixed_alike(kinds: tuple[str, ...], channels: int) -> None:
    built = module(augment=dict.fromkeys(kinds, 1.0))
    targets = torch.arange(12) % NUM_CLASSES
    # Each picture shows nothing but its target.
    images = torch.nn.functional.one_hot(targets, NUM_CLASSES).float()[:, :, None, None]
    images = images.repeat(1, channels // NUM_CLASSES + 1, 20, 30)[:, :channels]
    for seed in range(10):
        mixed, soft = built._mix(images, targets, seed)
        again, _ = built._mix(images, targets, seed)
        assert torch.equal(mixed, again)
        torch.testing.assert_close(mixed.mean((2, 3))[:, :NUM_CLASSES], soft)
        assert torch.equal(mixed, images) == (not kinds)
    assert built._mix(images, targets, 3)[1].shape == (12, NUM_CLASSES)


def test_layers_thaw_from_the_head_down(monkeypatch: pytest.MonkeyPatch) -> None:
    built = module(fit={"unfreeze_every": 2, "freeze_norm": False})
    counts = []
    for epoch in range(12):
        monkeypatch.setattr(TrainingModule, "current_epoch", epoch)
        built.on_train_epoch_start()
        counts.append(sum(p.numel() for p in built.model.parameters() if p.requires_grad))
    assert counts == sorted(counts)
    assert counts[0] == counts[1] < counts[2]
    assert counts[-1] == sum(p.numel() for p in built.model.parameters())
