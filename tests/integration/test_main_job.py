"""From a folder of photos to an answer, with the commands a user types."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from recyclenet import Classifier
from recyclenet.core.images import decode_image
from recyclenet.exporting.parity import TOLERANCES
from recyclenet.training.checkpoint import load_trained
from recyclenet.training.run import Run

RunCli = Callable[..., Any]
SMALL = (
    "augment.mixup=0",
    "augment.trivial_augment=false",
    "optim.learning_rate=5e-3",
    "optim.head_multiplier=1",
    "fit.ema_decay=0.5",
    "fit.epochs=12",
)


@pytest.fixture(scope="module")
def trained(
    run_cli: RunCli, photo_folder: Path, tiny: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run folder made by the command line."""
    run = tmp_path_factory.mktemp("main") / "my run 一"
    options = ["--recipe", tiny, "--seed", "1", *(word for s in SMALL for word in ("--set", s))]
    done = run_cli("train", "--data", photo_folder, "--out", run, *options)
    assert done.code == 0, done.err
    assert "validation accuracy 100.00%" in done.out
    assert "epoch 12/12" in done.err
    return run


def test_the_model_file_answers_as_the_network_does(
    run_cli: RunCli, trained: Path, photo_folder: Path
) -> None:
    """One JPEG through PyTorch, the engine and the command line."""
    done = run_cli("classify", "--json", "--model", trained / "model.onnx", photo_folder)
    assert done.code == 0, done.err
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert len(rows) == 36
    classifier = Classifier(trained / "model.onnx")
    network = load_trained(Run(trained))
    for row in rows[::5]:
        batch = classifier.info.preprocess(decode_image(row["path"]))[None]
        with torch.inference_mode():
            logits = network(torch.from_numpy(batch)).numpy()[0]
        label = classifier.info.class_names[int(logits.argmax())]
        assert (
            np.abs(classifier.logits(batch)[0] - logits).max()
            <= TOLERANCES["float16"].max_difference
        )
        answer = classifier.classify(row["path"])
        assert (row["label"], row["confidence"]) == (
            label,
            pytest.approx(answer.confidence, abs=1e-5),
        )


def test_evaluate_writes_figures_page_and_table(
    run_cli: RunCli, trained: Path, photo_folder: Path, tmp_path: Path
) -> None:
    page, table = tmp_path / "page.html", tmp_path / "table.csv"
    model = ("--model", trained / "model.onnx")
    done = run_cli(
        *("evaluate", "--data", trained / "manifest.csv", "--split", "test", "--json", *model),
        *("--report", page, "--predictions", table),
    )
    assert done.code == 0, done.err
    row = json.loads(done.out)
    assert row["split"] == "test"
    assert row["num_photos"] == int(np.sum(row["confusion_matrix"]))
    assert "Confusion matrix" in page.read_text("utf-8")
    assert len(table.read_text("utf-8").splitlines()) == row["num_photos"] + 1
    plain = run_cli("evaluate", "--data", photo_folder, *model)
    assert "36 photos: accuracy" in plain.out


def test_bad_requests_are_one_line_and_the_right_code(
    run_cli: RunCli, trained: Path, photo_folder: Path, tmp_path: Path
) -> None:
    model = trained / "model.onnx"
    (tmp_path / "labels.csv").write_text(f"path,label\n{photo_folder}/glass/0.jpg,glas\n")
    one = tmp_path / "one"
    (one / "glass").mkdir(parents=True)
    Image.new("RGB", (32, 32)).save(one / "glass" / "a.jpg")
    (tmp_path / "empty").mkdir()
    cases: list[tuple[list[Any], int, str]] = [
        (["evaluate", "--model", model, "--data", tmp_path / "labels.csv"], 1, "'glass'?"),
        (["evaluate", "--model", model, "--data", photo_folder, "--split", "test"], 2, "no splits"),
        (["evaluate", "--model", model, "--data", tmp_path / "empty"], 2, "no photos"),
        (["evaluate", "--model", model, "--data", tmp_path / "nowhere"], 2, "no folder"),
        (["train", "--data", one, "--out", tmp_path / "run"], 1, "only 'glass'"),
        (["train", "--data", photo_folder, "--out", trained], 2, "not an empty folder"),
        (["train", "--data", photo_folder], 2, "--out"),
        (["train", "--resume", tmp_path / "nowhere"], 2, "cannot read"),
        (["export", tmp_path / "nowhere"], 2, "train first"),
    ]
    for arguments, code, said in cases:
        done = run_cli(*arguments)
        assert (done.code, done.err.count("\n")) == (code, 1), done.err
        assert said in done.err
    assert not (tmp_path / "run").exists()
