"""Whatever stops a run, the run can go on, and ends as if nothing had stopped it."""

from __future__ import annotations

import random
import resource
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from forks import Fork
from recyclenet.training.checkpoint import check_resumable
from recyclenet.training.recipe import load_recipe

NUM_EPOCHS, NUM_KILLS = 24, 6
TINY = Path(__file__).resolve().parents[1] / "tiny.toml"


def new_run(data: Path, run: Path) -> list[object]:
    options = ("--recipe", TINY, "--seed", 3, "--set", f"fit.epochs={NUM_EPOCHS}")
    return ["--data", data, "--out", run, *options]


def start(words: Sequence[object]) -> Fork:
    return Fork(["train", *words])


def num_epochs(run: Path) -> int:
    table = run / "metrics.csv"
    return len(table.read_text().splitlines()) - 1 if table.is_file() else 0


def weights(run: Path) -> dict[str, torch.Tensor]:
    stored = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    return {**stored["state_dict"], **stored["current_model_state"]}


@pytest.fixture(scope="module")
def whole(photo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("whole") / "run"
    done = start(new_run(photo_folder, run)).wait()
    assert done.code == 0, done.err
    return run


def test_killed_at_any_moment_a_run_ends_with_the_same_weights(
    photo_folder: Path, whole: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    moments = random.Random(0)
    kills = 0
    while num_epochs(run) < NUM_EPOCHS or not (run / "model.onnx").is_file():
        resumable = (run / "checkpoints" / "last.ckpt").is_file()
        if not resumable:
            shutil.rmtree(run, ignore_errors=True)
        process = start(["--resume", run] if resumable else new_run(photo_folder, run))
        if kills < NUM_KILLS:
            # Some epochs further on, and then anywhere within one, its writes included.
            goal = min(num_epochs(run) + moments.randint(1, 5), NUM_EPOCHS - 2)
            while num_epochs(run) < goal and process.is_running():
                time.sleep(0.005)
            time.sleep(moments.random() * 0.2)
            process.send_signal(signal.SIGKILL)
            kills += 1
        err = process.wait().err
        assert "Traceback" not in err, err
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
    while num_epochs(run) < 2 and process.is_running():
        time.sleep(0.01)
    process.send_signal(told)
    done = process.wait()
    assert done.code == 128 + told, done.err
    assert "recyclenet train --resume" in done.err.splitlines()[-1]
    assert (run / "checkpoints" / "last.ckpt").is_file()


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="Linux limits other processes")
def test_a_full_disk_ends_in_one_line_and_leaves_the_last_checkpoint(
    photo_folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = start(new_run(photo_folder, run))
    while num_epochs(run) < 2 and process.is_running():
        time.sleep(0.01)
    limit = (run / "checkpoints" / "last.ckpt").stat().st_size // 2
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, limit))
    done = process.wait()
    assert done.code == 1, done.err
    assert "Traceback" not in done.err
    assert "recyclenet train --resume" in done.err.splitlines()[-1]
    check_resumable(run / "checkpoints" / "last.ckpt", load_recipe(run / "recipe.toml"))


def test_a_run_does_not_go_on_with_another_recipe(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    recipe = run / "recipe.toml"
    longer = recipe.read_text().replace(f"epochs = {NUM_EPOCHS}", f"epochs = {NUM_EPOCHS + 10}")
    recipe.write_text(longer)
    before = (run / "checkpoints" / "last.ckpt").read_bytes()
    err = start(["--resume", run]).wait().err
    assert f"fit.epochs was {NUM_EPOCHS} when" in err.splitlines()[-1]
    assert (run / "checkpoints" / "last.ckpt").read_bytes() == before


def test_a_folder_that_cannot_be_written_ends_in_one_line(
    photo_folder: Path, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("mine")
    done = start(new_run(photo_folder, blocked / "run")).wait()
    assert done.code == 2
    assert done.err.splitlines()[-1].startswith("error: cannot write")
    assert "Traceback" not in done.err
    assert blocked.read_text() == "mine"
