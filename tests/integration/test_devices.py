"""Two processes that train together do what one does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from forks import Fork
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
    "fit.micro_batches=2",
)
TINY = Path(__file__).resolve().parents[1] / "tiny.toml"
TORCHRUN = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone")


def check(code: int, out: str, err: str) -> str:
    """Return what one process of a training said on stderr; the others say nothing."""
    assert code == 0, err
    assert out.count("model.onnx: validation accuracy") == 1
    assert "Traceback" not in err
    return err


def weights(run: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = load_trained(Run(run)).state_dict()
    return state


@pytest.mark.parametrize(
    ("sharpness", "launcher", "devices"),
    [
        pytest.param("sam", (), ("--devices", "2"), id="--devices"),
        pytest.param("none", TORCHRUN, (), id="torchrun", marks=pytest.mark.exhaustive),
    ],
)
def test_two_processes_learn_what_one_learns(
    photo_folder: Path,
    tmp_path: Path,
    sharpness: str,
    launcher: tuple[str, ...],
    devices: tuple[str, ...],
) -> None:
    """With both ways to start the processes, and one or two gradients a step."""
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    words = ["train", "--data", str(photo_folder), "--recipe", str(TINY), *settings]
    words += ["--set", f"optim.sharpness={sharpness}", "--out"]
    alone = Fork([*words, tmp_path / "one"]).wait()
    check(alone.code, alone.out, alone.err)
    both = subprocess.run(
        [sys.executable, *launcher, "-m", "recyclenet", *words, str(tmp_path / "two"), *devices],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert check(both.returncode, both.stdout, both.stderr).count("epoch 2/2") == 1
    expected, found = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5)
    first, second = (
        row.split(",")[1] for row in (tmp_path / "two" / "metrics.csv").read_text().splitlines()[1:]
    )
    assert first != second
