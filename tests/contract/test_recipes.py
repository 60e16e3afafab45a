"""Every recipe of the package trains for two steps and exports."""

from __future__ import annotations

from pathlib import Path

import pytest

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
def test_a_recipe_trains_two_steps_and_exports(
    name: str, photo_folder: Path, tmp_path: Path
) -> None:
    recipe = load_recipe(name, SMALL)
    run = train(photo_folder, tmp_path / "run", recipe)
    assert len(run.manifest.select("train")) >= 12
    assert run.info.backbone == recipe.model.name
    assert run.info.metrics["num_photos"] > 0
