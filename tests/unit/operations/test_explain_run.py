"""Feature map and Grad-CAM of a trained run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from recyclenet import explain, train
from recyclenet.errors import RecycleNetError, UsageError
from recyclenet.exporting import folds
from recyclenet.operations.explain import Explainer
from recyclenet.training.run import Run


@pytest.fixture
def run(trained_run: Run) -> Run:
    return trained_run


@pytest.mark.parametrize("method", ["occlusion", "feature-map", "gradcam"])
def test_a_run_is_explained_by_every_method(run: Run, photo_folder: Path, method: str) -> None:
    photo = photo_folder / "glass" / "glass1.jpg"
    explanation = explain(photo, run.folder, method=method)
    assert explanation.prediction == run.classifier().classify(photo)
    side = run.info.preprocess.image_size
    assert explanation.heatmap.shape == (side, side)
    assert explanation.heatmap.dtype == np.float32
    assert 0 <= explanation.heatmap.min() <= explanation.heatmap.max() <= 1
    assert 0 <= explanation.deletion.score <= 1
    assert explanation.method == method


def test_the_command_does_the_same(run: Run, photo_folder: Path, run_cli) -> None:
    photo = photo_folder / "glass" / "glass1.jpg"
    words = ("explain", photo, "--model", run.folder, "--method", "gradcam", "--json")
    done = run_cli(*words, "--against", run.folder)
    assert (done.code, done.err) == (0, "")
    row = json.loads(done.out)
    expected = explain(photo, run.folder, method="gradcam")
    assert row["deletion"] == pytest.approx(expected.deletion.score, abs=1e-5)
    assert row["against"]["deletion"] == row["deletion"]


def test_a_run_with_a_kernel_machine_is_explained(
    photo_folder: Path, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folds, "MIN_PHOTOS", 5)
    settings = {"model.freeze_groups": 3, "fit.kernel": True}
    run = train(photo_folder, tmp_path / "run", tiny, settings=settings)
    photo = photo_folder / "metal" / "metal1.jpg"
    explanation = explain(photo, run.folder, method="gradcam")
    assert explanation.prediction == run.classifier().classify(photo)


def test_a_checkpoint_of_another_model_is_refused(
    trained_run: Run, photo_folder: Path, tmp_path: Path
) -> None:
    run = Run(tmp_path / "run")
    shutil.copytree(trained_run.folder, run.folder)
    stored = torch.load(run.best, weights_only=True)
    for tensor in stored["state_dict"].values():
        if tensor.is_floating_point():
            tensor.mul_(3)
    torch.save(stored, run.best)
    explainer = Explainer(run.folder, "gradcam")
    with pytest.raises(RecycleNetError, match=r"different answers; export the run again"):
        explainer.explain(photo_folder / "glass" / "glass1.jpg")
    run.best.unlink()
    with pytest.raises(UsageError, match="no checkpoint"):
        Explainer(run.folder, "gradcam")
