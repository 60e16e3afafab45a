"""Two processes that train together do what one does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from recyclenet.training.checkpoint import load_trained
from recyclenet.training.run import Run

# Without batch statistics and chance in a step, a shared batch has the gradients of a whole one.
SETTINGS = (
    "model.drop_rate=0",
    "augment.mixup=0",
    "optim.optimizer=sgd",
    "optim.learning_rate=1e-2",
    "fit.epochs=2",
    "fit.freeze_norm=true",
)
TINY = Path(__file__).resolve().parents[1] / "tiny.toml"


def train(photos: Path, run: Path, *options: str, launcher: tuple[str, ...] = ()) -> str:
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    command = [sys.executable, *launcher, "-m", "recyclenet", "train", "--data", str(photos)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "--recipe", str(TINY), "--out", str(run), *settings, *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("model.onnx: validation accuracy") == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def weights(run: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = load_trained(Run(run)).state_dict()
    return state


@pytest.mark.parametrize("sharpness", ["none", "sam"])
def test_two_processes_learn_what_one_learns(
    photo_folder: Path, tmp_path: Path, sharpness: str
) -> None:
    options = ("--set", f"optim.sharpness={sharpness}", "--set", "fit.micro_batches=2")
    train(photo_folder, tmp_path / "one", *options)
    said = train(photo_folder, tmp_path / "two", *options, "--devices", "2")
    assert said.count("epoch 2/2") == 1
    expected, found = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5)
    first, second = (
        row.split(",")[1] for row in (tmp_path / "two" / "metrics.csv").read_text().splitlines()[1:]
    )
    assert first != second


def test_torchrun_starts_the_processes(photo_folder: Path, tmp_path: Path) -> None:
    launcher = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone")
    train(photo_folder, tmp_path / "one")
    train(photo_folder, tmp_path / "two", launcher=launcher)
    expected, found = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5)
