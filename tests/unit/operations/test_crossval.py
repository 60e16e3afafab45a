from __future__ import annotations

import csv
from pathlib import Path

import pytest

from recyclenet.data.dataset import load_dataset
from recyclenet.errors import UsageError
from recyclenet.operations import train
from recyclenet.operations.crossval import crossval
from recyclenet.training.recipe import load_recipe


def test_every_photo_is_judged_once_by_a_model_new_to_it(
    photo_folder: Path, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a relative folder, which must not keep finished folds from being found."""
    manifest = load_dataset(photo_folder)
    monkeypatch.chdir(photo_folder.parent)
    data, recipe = photo_folder.name, load_recipe(tiny)
    folds = crossval(data, tmp_path, recipe, num_folds=2).folds
    assert sum(fold.num_photos for fold in folds) == len(manifest)
    rows = list(csv.DictReader((tmp_path / "predictions.csv").read_text().splitlines()))
    names = sorted(Path(row["path"]).name for row in rows)
    assert names == sorted(sample.path.name for sample in manifest)
    accuracy = sum(
        max(("glass", "metal", "paper"), key=lambda name: float(row[f"logit_{name}"]))
        == manifest.class_names[int(row["target"])]
        for row in rows
    ) / len(rows)
    mean = sum(fold.accuracy * fold.num_photos for fold in folds) / len(manifest)
    assert accuracy == pytest.approx(mean, abs=1e-6)
    assert len((tmp_path / "folds.csv").read_text().splitlines()) == 3

    def forbidden(*_: object) -> None:
        raise AssertionError("a finished fold was done again")

    monkeypatch.setattr(train, "start_run", forbidden)
    monkeypatch.setattr(train, "resume_run", forbidden)
    assert crossval(data, tmp_path, recipe, num_folds=2).folds == folds


def test_a_folder_of_the_last_fold_that_cannot_be_used_is_refused_before_the_first(
    photo_folder: Path, tiny: str, tmp_path: Path
) -> None:
    (tmp_path / "fold-2").mkdir()
    (tmp_path / "fold-2" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="not an empty folder"):
        crossval(photo_folder, tmp_path, tiny, num_folds=3)
    assert [path.name for path in tmp_path.iterdir()] == ["fold-2"]
