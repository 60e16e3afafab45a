"""Every recipe of the package trains for two steps and exports."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from recyclenet.data.manifest import read_manifest
from recyclenet.data.scan import load_dataset
from recyclenet.export.onnx import export_run
from recyclenet.training.fit import start_run
from recyclenet.training.recipe import load_recipe, recipe_names

SMALL = (
    "model.weights=none",
    "model.image_size=64",
    "augment.crop_size=64",
    "fit.epochs=1",
    "fit.batch_size=12",
    "fit.seed=0",
)


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_trains_two_steps_and_exports(
    name: str, photo_folder: Path, tmp_path: Path
) -> None:
    recipe = load_recipe(name, SMALL)
    run = tmp_path / "run"
    start_run(load_dataset(photo_folder), recipe, run, Console(file=io.StringIO()))
    assert len(read_manifest(run / "manifest.csv").select("train")) >= 12
    info = export_run(run, run / "model.onnx")
    assert info.backbone == recipe.model.name
    assert info.metrics["num_photos"] > 0
