"""The commands around training: what they print, and what they leave behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from recyclenet.data.manifest import read_manifest
from recyclenet.training.run import Run

Command = Callable[..., tuple[int, str, str]]
CACHED = ("--set", "model.freeze_groups=2", "--set", "fit.cached_views=2")


def test_lr_find_draws_and_suggests(
    command: Command, photo_folder: Path, tiny: str, tmp_path: Path
) -> None:
    picture = tmp_path / "sweep.png"
    options = ["--data", photo_folder, "--recipe", tiny, "--steps", 20, "--out", picture]
    code, out, err = command("lr-find", *options, *CACHED)
    assert code == 0, err
    assert "train with: --set optim.learning_rate=" in out
    assert "1 views of each photo" in err
    assert picture.is_file()
    code, out, err = command("lr-find", *options, "--json")
    assert code == 0, err
    row = json.loads(out)
    assert row["rates"][0] <= row["valley"] <= row["rates"][-1]


def test_crossval_prints_each_fold_and_the_mean(
    command: Command, photo_folder: Path, tiny: str, tmp_path: Path
) -> None:
    options = ["--data", photo_folder, "--recipe", tiny, "--folds", 2, *CACHED]
    code, out, err = command("crossval", *options, "--out", tmp_path / "folds")
    assert code == 0, err
    lines = out.splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [["0", "18"], ["1", "18"]]
    assert lines[3].startswith("mean ")
    assert len((tmp_path / "folds" / "predictions.csv").read_text().splitlines()) == 37
    code, _, err = command(
        "crossval", *options, "--set", "fit.epochs=2", "--out", tmp_path / "folds"
    )
    assert code == 2
    assert "another recipe" in err


def two_domains(photo_folder: Path, tmp_path: Path) -> list[str]:
    """Return two data sets of different photos; the second calls one class by another name."""
    for number, path in enumerate(sorted(photo_folder.rglob("*.jpg"))):
        label = path.parent.name
        place = ("web", "can" if label == "metal" else label) if number % 2 else ("home", label)
        (tmp_path / Path(*place)).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / Path(*place))
    return ["--data", f"abroad={tmp_path / 'web'}", "--data", str(tmp_path / "home")]


def test_training_on_several_data_sets_keeps_their_names(
    command: Command, photo_folder: Path, tiny: str, tmp_path: Path
) -> None:
    options = [*two_domains(photo_folder, tmp_path), "--map", "abroad:can=metal", "--recipe", tiny]
    sampling = ("--set", "fit.sampling=domain-class")
    code, _, err = command("train", *options, *sampling, "--out", tmp_path / "run")
    assert code == 0, err
    assert "did not look for copies: not all photos have perceptual hashes" in err
    manifest = read_manifest(tmp_path / "run" / "manifest.csv")
    assert manifest.counts == {"glass": 12, "metal": 12, "paper": 12}
    cells = {(s.domain, s.split) for s in manifest}
    assert cells == {(d, s) for d in ("abroad", "home") for s in ("train", "val", "test")}
    code, _, err = command("train", "--resume", tmp_path / "run", "--map", "a=b")
    assert code == 2
    assert "--map" in err


def test_lodo_prints_each_domain_and_the_mean(
    command: Command, photo_folder: Path, tiny: str, tmp_path: Path
) -> None:
    options = [*two_domains(photo_folder, tmp_path), "--recipe", tiny, "--out", tmp_path / "out"]
    for _ in range(2):  # the second time, all is done
        code, out, err = command("lodo", *options)
        assert code == 0, err
        lines = [line.split() for line in out.splitlines()]
        assert [line[0] for line in lines] == ["domain", "abroad", "home", "mean"]
        assert [line[1] for line in lines[1:3]] == ["12", "12"]
        assert "abroad: 6 photos with labels that no training photo has were not tested" in err
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "folds.csv", "predictions.csv", "without-abroad", "without-home",
    }  # fmt: skip
    code, _, err = command("lodo", "--data", tmp_path / "home", "--out", tmp_path / "x")
    assert code == 2
    assert "photos of two domains or more" in err


def test_ablate_prints_and_writes_the_table(
    command: Command, photo_folder: Path, tiny: str, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(
        f'recipe = "{tiny}"\nseeds = [0]\n[factors]\n"optim.label_smoothing" = [0.1, 0.0]\n'
    )
    out_folder = tmp_path / "out"
    code, out, err = command("ablate", plan, "--data", photo_folder, "--out", out_folder)
    assert code == 0, err
    assert [line.split()[0] for line in out.splitlines()[:3]] == ["variant", "0.1", "0.0"]
    assert {"ablation.csv", "ablation.md", "ablation.png"} <= {p.name for p in out_folder.iterdir()}


@pytest.mark.parametrize("verb", ["lr-find", "crossval"])
def test_a_misspelt_field_is_named(command: Command, photo_folder: Path, verb: str) -> None:
    out = ["--out", "x"] if verb == "crossval" else []
    code, _, err = command(verb, "--data", photo_folder, *out, "--set", "fit.epoch=1")
    assert code == 2
    assert "did you mean 'epochs'" in err


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_a_damaged_checkpoint_is_not_continued(
    command: Command, trained_run: Run, tmp_path: Path, damage: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained_run.folder, run)
    last = run / "checkpoints" / "last.ckpt"
    if damage == "cut":
        last.write_bytes(last.read_bytes()[:5000])
    else:
        torch.save({"weights": torch.zeros(3)}, last)
    code, _, err = command("train", "--resume", run)
    assert code == 4
    reason = "is damaged: " if damage == "cut" else "cannot be resumed: it has no"
    assert err.splitlines()[-1].startswith(f"error: {last} {reason}")
