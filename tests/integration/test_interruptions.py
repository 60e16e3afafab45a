"""Whatever stops a run, the run can go on, and ends as if nothing had stopped it."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from recyclenet.training.checkpoint import check_resumable
from recyclenet.training.recipe import load_recipe

NUM_KILLS = 10
TINY = Path(__file__).resolve().parents[1] / "tiny.toml"


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "recyclenet", "train", *map(str, words)]


def new_run(data: Path, run: Path) -> list[str]:
    options = ("--recipe", TINY, "--seed", 3, "--set", "fit.epochs=60")
    return command("--data", data, "--out", run, *options)


def start(words: list[str]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
    )


def num_epochs(run: Path) -> int:
    table = run / "metrics.csv"
    return len(table.read_text().splitlines()) - 1 if table.is_file() else 0


def weights(run: Path) -> dict[str, torch.Tensor]:
    stored = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    return {**stored["state_dict"], **stored["current_model_state"]}


@pytest.fixture(scope="module")
def whole(photo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("whole") / "run"
    process = start(new_run(photo_folder, run))
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err.decode()
    return run


def test_killed_at_any_moment_a_run_ends_with_the_same_weights(
    photo_folder: Path, whole: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    moments = random.Random(0)
    kills = 0
    while num_epochs(run) < 60 or not (run / "model.onnx").is_file():
        resumable = (run / "checkpoints" / "last.ckpt").is_file()
        if not resumable:
            shutil.rmtree(run, ignore_errors=True)
        process = start(command("--resume", run) if resumable else new_run(photo_folder, run))
        if kills < NUM_KILLS:
            # Some epochs further on, and then anywhere within one, its writes included.
            goal = min(num_epochs(run) + moments.randint(1, 5), 58)
            while num_epochs(run) < goal and process.poll() is None:
                time.sleep(0.005)
            time.sleep(moments.random() * 0.2)
            process.send_signal(signal.SIGKILL)
            kills += 1
        _, err = process.communicate(timeout=120)
        assert b"Traceback" not in err, err.decode()
    assert kills == NUM_KILLS
    expected, found = weights(whole), weights(run)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_a_run_says_how_to_go_on(
    photo_folder: Path, tmp_path: Path, told: signal.Signals
) -> None:
    run = tmp_path / "run"
    process = start(new_run(photo_folder, run))
    while num_epochs(run) < 2 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(told)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + told, err.decode()
    assert b"recyclenet train --resume" in err.splitlines()[-1]
    assert (run / "checkpoints" / "last.ckpt").is_file()


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="Linux limits other processes")
def test_a_full_disk_ends_in_one_line_and_leaves_the_last_checkpoint(
    photo_folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = start(new_run(photo_folder, run))
    while num_epochs(run) < 2 and process.poll() is None:
        time.sleep(0.01)
    limit = (run / "checkpoints" / "last.ckpt").stat().st_size // 2
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, limit))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1, err.decode()
    assert b"Traceback" not in err
    assert b"recyclenet train --resume" in err.splitlines()[-1]
    check_resumable(run / "checkpoints" / "last.ckpt", load_recipe(run / "recipe.toml"))


def test_a_run_does_not_go_on_with_another_recipe(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    recipe = run / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("epochs = 60", "epochs = 70"))
    before = (run / "checkpoints" / "last.ckpt").read_bytes()
    _, err = start(command("--resume", run)).communicate(timeout=60)
    assert b"fit.epochs was 60 when" in err.splitlines()[-1]
    assert (run / "checkpoints" / "last.ckpt").read_bytes() == before


def test_a_folder_that_cannot_be_written_ends_in_one_line(
    photo_folder: Path, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("mine")
    process = start(new_run(photo_folder, blocked / "run"))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert err.splitlines()[-1].startswith(b"error: cannot write")
    assert b"Traceback" not in err
    assert blocked.read_text() == "mine"
