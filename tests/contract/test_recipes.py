"""Every recipe of the package trains for an epoch; one of them exports.

The networks of the others are exported in test_seed_models.py, branches and precisions of small
networks in the unit tests, and all recipes by `-m exhaustive`.
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
# Of all recipes, the one with the most parts: several branches, one of them as before training, in
# int8.
EXPORTED = ("robust",)


@pytest.mark.parametrize("name", [name for name in recipe_names() if name not in EXPORTED])
def test_a_recipe_trains_an_epoch(name: str, photo_folder: Path, tmp_path: Path) -> None:
    recipe = load_recipe(name, SMALL)
    run = Run(tmp_path / "run")
    start_run(load_dataset(photo_folder), recipe, run)
    check_trained(run)
    assert run.recipe == recipe


@pytest.mark.parametrize(
    "name",
    [
        name if name in EXPORTED else pytest.param(name, marks=pytest.mark.exhaustive)
        for name in recipe_names()
    ],
)
def test_a_recipe_trains_an_epoch_and_exports(
    name: str, photo_folder: Path, tmp_path: Path
) -> None:
    recipe = load_recipe(name, SMALL)
    run = train(photo_folder, tmp_path / "run", recipe)
    check_trained(run)
    assert run.info.backbone == recipe.model.name
    assert run.info.metrics["num_photos"] > 0


def check_trained(run: Run) -> None:
    assert len(run.manifest.select("train")) >= 12
    assert len(run.metrics) == 1
    assert torch.load(run.last, weights_only=True)["global_step"] >= 1
