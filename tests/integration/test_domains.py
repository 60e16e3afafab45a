"""From several data sets to a model that knows where its photos are from, command by command."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from recyclenet import Classifier

Cli = Callable[..., object]


def test_merge_split_train_evaluate_and_leave_a_domain_out(
    run_cli: Cli, photo_folder: Path, tiny: str, tmp_path: Path
) -> None:
    def run(line: str, code: int = 0) -> str:
        done = run_cli(*line.split(), cwd=tmp_path)
        assert done.code == code, done.err
        return str(done.out)

    photos = sorted(photo_folder.rglob("*.jpg"))
    for number, path in enumerate([*photos, photos[0]]):  # the last one is in two data sets
        domain, label = ("home", "web", "street")[number % 3], path.parent.name
        if number == len(photos):
            domain = "web"
        place = tmp_path / domain / ("can" if (domain, label) == ("web", "metal") else label)
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    merged = run("data merge home city=street web --map web:can=metal --out merged.csv")
    assert merged.splitlines()[0].split() == ["class", "city", "home", "web", "all"]
    run("data split merged.csv --ratios 50/25/25 --out split.csv")
    run("data check-leaks split.csv")
    run(f"train --data split.csv --recipe {tiny} --set fit.sampling=domain --out run")
    stored = Classifier(tmp_path / "run" / "model.onnx").info.metrics
    assert set(stored["by_domain"]) == {"home", "web", "city"}
    out = run("evaluate --data run/manifest.csv --model run/model.onnx --json --split all")
    row = json.loads(out)
    assert {name: figures["num_photos"] for name, figures in row["by_domain"].items()} == {
        "city": 12,
        "home": 12,
        "web": 13,
    }
    run(f"lodo --data split.csv --recipe {tiny} --out abroad")
    with (tmp_path / "abroad" / "folds.csv").open(newline="") as file:
        folds = {fold["domain"]: fold for fold in csv.DictReader(file)}
    assert [fold["num_photos"] for fold in folds.values()] == ["12", "12", "13"]
    assert [fold["num_copies"] for fold in folds.values()] == ["0", "1", "1"]
    assert all(int(fold["num_home"]) > 0 for fold in folds.values())
