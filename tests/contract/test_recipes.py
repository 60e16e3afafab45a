"""Every recipe of the package trains for an epoch; by `-m exhaustive`, all export.

The seeds' networks are exported in test_seed_models.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recyclenet.data.dataset import load_dataset
from recyclenet.operations.train import train
from recyclenet.training.fit import start_run
from recyclenet.training.recipe import load_recipe, recipe_names
from recyclenet.training.run import Run

SMALL = {
    "model.weights": "none",
    "model.image_size": 64,
    "augment.crop_size": 64,
    "fit.epochs": 1,
    "fit.batch_size": 12,
    "fit.seed": 0,
}


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_trains_an_epoch(name: str, photo_folder: Path, tmp_path: Path) -> None:
    num_views = min(load_recipe(name).fit.cached_views, 2)
    recipe = load_recipe(name, {**SMALL, "fit.cached_views": num_views})
    run = Run(tmp_path / "run")
    start_run(load_dataset(photo_folder), recipe, run)
    check_trained(run)
    assert run.recipe == recipe


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_trains_an_epoch_and_exports(
    name: str, photo_folder: Path, tmp_path: Path
) -> None:
    recipe = load_recipe(name, SMALL)
    run = train(photo_folder, tmp_path / "run", recipe)
    check_trained(run)
    assert run.info.backbone == recipe.model.name
    assert run.info.metrics["num_photos"] > 0


def test_the_built_in_models_recipe_exports(photo_folder: Path, tmp_path: Path) -> None:
    """Its branches, one of them as before training, and int8, with a small backbone."""
    network = {"model.backbone": "test_efficientnet", "model.freeze_groups": 4}
    recipe = load_recipe("robust", {**SMALL, **network})
    run = train(photo_folder, tmp_path / "run", recipe)
    check_trained(run)
    assert run.info.metrics["num_photos"] > 0


def check_trained(run: Run) -> None:
    assert len(run.manifest.select("train")) >= 12
    assert len(run.metrics) == 1
    assert torch.load(run.last, weights_only=True)["global_step"] >= 1
