"""Every recipe of the package trains for an epoch, and its network exports."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recyclenet.operations.train import train
from recyclenet.training.recipe import load_recipe, recipe_names

SMALL = {
    "model.weights": "none",
    "model.image_size": 64,
    "augment.crop_size": 64,
    "fit.epochs": 1,
    "fit.batch_size": 12,
    "fit.seed": 0,
}


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_trains_an_epoch_and_exports(
    name: str, photo_folder: Path, tmp_path: Path
) -> None:
    num_views = min(load_recipe(name).fit.cached_views, 2)
    recipe = load_recipe(name, {**SMALL, "fit.cached_views": num_views})
    run = train(photo_folder, tmp_path / "run", recipe)
    assert run.recipe == recipe
    assert len(run.manifest.select("train")) >= 12
    assert len(run.metrics) == 1
    assert torch.load(run.last, weights_only=True)["global_step"] >= 1
    assert run.info.backbone == recipe.model.name
    assert run.info.metrics["num_photos"] > 0
