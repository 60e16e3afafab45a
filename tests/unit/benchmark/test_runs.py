from __future__ import annotations

import io
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from recyclenet.benchmark.runs import complete_run, mean_interval, score_run
from recyclenet.data.manifest import Manifest
from recyclenet.data.scan import load_dataset
from recyclenet.errors import UsageError
from recyclenet.training.recipe import Recipe, load_recipe


@pytest.fixture(scope="module")
def recipe(tiny: str) -> Recipe:
    return load_recipe(tiny)


@pytest.fixture(scope="module")
def run(photo_folder: Path, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    complete_run(recipe, load_dataset(photo_folder), folder, Console(file=io.StringIO()))
    return folder


def test_a_run_is_scored_on_its_own_split(run: Path, photo_folder: Path) -> None:
    samples, logits, targets = score_run(run, "test")
    assert logits.shape == (len(samples), 3)
    assert len(targets) == len(samples) == 6
    assert {sample.split for sample in samples} == {"test"}


def test_a_run_of_something_else_is_refused(run: Path, photo_folder: Path, recipe: Recipe) -> None:
    console = Console(file=io.StringIO())
    manifest = load_dataset(photo_folder)
    before = (run / "model.onnx").read_bytes()
    complete_run(recipe, manifest, run, console)
    with pytest.raises(UsageError, match="another recipe"):
        complete_run(recipe.model_copy(update={"name": "other"}), manifest, run, console)
    moved = Manifest(tuple(replace(sample, split="train") for sample in manifest))
    with pytest.raises(UsageError, match="other photos or splits"):
        complete_run(recipe, moved, run, console)
    assert (run / "model.onnx").read_bytes() == before


def test_intervals_are_the_textbooks() -> None:
    low, high = mean_interval(np.array([0.93, 0.95, 0.94]))
    assert (low + high) / 2 == pytest.approx(0.94)
    assert (high - low) / 2 == pytest.approx(4.302653 * 0.01 / math.sqrt(3), rel=1e-5)
    assert math.isnan(mean_interval(np.array([0.93]))[0])
