from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from recyclenet.data.dataset import load_dataset
from recyclenet.data.manifest import Manifest
from recyclenet.errors import UsageError
from recyclenet.evaluation.predict import predict
from recyclenet.operations.train import complete_run, train
from recyclenet.training.recipe import Recipe
from recyclenet.training.run import Run


@pytest.fixture
def run(trained_run: Run) -> Run:
    return trained_run


@pytest.fixture
def recipe(trained_run: Run) -> Recipe:
    return trained_run.recipe


def test_a_run_is_evaluated_on_its_own_split(run: Run) -> None:
    table = predict(run.classifier(), run.manifest.select("test"))
    assert table.logits.shape == (6, 3)
    assert len(table.targets) == 6
    assert {sample.split for sample in table.samples} == {"test"}


def test_a_run_of_something_else_is_refused(run: Run, photo_folder: Path, recipe: Recipe) -> None:
    manifest = load_dataset(photo_folder)
    before = run.model.read_bytes()
    complete_run(manifest, recipe, run.folder)
    with pytest.raises(UsageError, match="another recipe"):
        complete_run(manifest, recipe.with_settings({"name": "other"}), run.folder)
    moved = Manifest(tuple(replace(sample, split="train") for sample in manifest))
    with pytest.raises(UsageError, match="other photos or splits"):
        complete_run(moved, recipe, run.folder)
    assert run.model.read_bytes() == before


def test_by_force_a_run_takes_the_place_of_another_and_other_files_stay(
    run: Run, photo_folder: Path, recipe: Recipe, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    (folder / "notes.txt").write_text("mine")
    longer = recipe.with_settings({"fit.epochs": 2})
    with pytest.raises(UsageError, match="--force"):
        train(photo_folder, folder, longer)
    assert Run(folder).recipe == recipe
    assert len(train(photo_folder, folder, longer, force=True).metrics) == 2
    assert Run(folder).recipe == longer
    assert (folder / "notes.txt").read_text() == "mine"
