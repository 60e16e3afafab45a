"""What `recyclenet compare` says of models whose answers are known."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

HEAD = "epoch,train_loss,val_loss,val_accuracy,lr,seconds\n"


@pytest.fixture
def blind(make_model) -> Path:
    """A model that knows the same classes in another order, and is wrong about metal and glass."""
    return make_model(class_names=("metal", "glass", "paper"))


def make_run(folder: Path, model: Path | None, metrics: str) -> Path:
    folder.mkdir()
    (folder / "metrics.csv").write_text(metrics)
    if model is not None:
        shutil.copy(model, folder / "model.onnx")
    return folder


def test_two_models_on_the_same_photos(command, tiny_model, blind, photo_folder, tmp_path):
    page = tmp_path / "page.html"
    code, out, err = command(
        "compare", tiny_model, blind, "--data", photo_folder, "--json", "--report", page
    )
    assert (code, err) == (0, f"wrote {page}\n")
    row = json.loads(out)
    assert (row["num_photos"], row["num_left_out"], row["split"]) == (36, 0, "all")
    assert [item["accuracy"] for item in row["compared"]] == [1, pytest.approx(1 / 3, abs=1e-6)]
    assert row["compared"][1]["recall"] == {"glass": 0, "metal": 0, "paper": 1}
    (difference,) = row["differences"]
    assert difference["difference"] == pytest.approx(-2 / 3, abs=1e-6)
    assert difference["num_only_baseline_right"] == len(difference["only_baseline_right"]) == 24
    assert difference["num_only_this_right"] == difference["num_neither_right"] == 0
    assert difference["p_value"] == pytest.approx(2 / 2**24)
    text = page.read_text()
    assert text.count("<article") == 12
    assert text.count("data:image/jpeg") == 12
    assert "24 photos, the 12 worst mistakes" in text
    code, out, _ = command("compare", tiny_model, blind, "--data", photo_folder)
    assert f"{blind} against {tiny_model}: -66.67 points" in out


def test_tables_are_compared_without_a_model(command, tiny_model, blind, photo_folder, tmp_path):
    tables = [tmp_path / "one.csv", tmp_path / "two.csv"]
    for table, model in zip(tables, (tiny_model, blind), strict=True):
        command("evaluate", "--model", model, "--data", photo_folder, "--predictions", table)
    code, out, err = command("compare", *tables, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["differences"][0]["num_only_baseline_right"] == 24
    lines = tables[1].read_text().splitlines()
    tables[1].write_text("\n".join(lines[:11]) + "\n")
    code, out, err = command("compare", *tables)
    assert (code, err) == (0, "left out: 26 photos without an answer from every model\n")
    assert out.startswith("10 photos\n")
    code, out, err = command("compare", tables[0], tables[0])
    assert "+0.00 points (95%: +0.0 to +0.0), McNemar's exact test p = 1" in out
    assert "no photo tells the two apart" in out
    tables[1].write_text(f"{lines[0]}\nelsewhere.jpg,0,1,2,3\n")
    code, out, err = command("compare", *tables)
    assert (code, out) == (1, "")
    assert "no photo is in all of" in err
    tables[1].write_text(f"{lines[0]}\n{photo_folder}/glass/glass1.jpg,1,1,2,3\n")
    code, out, err = command("compare", tables[1], tables[1], "--json")
    assert (code, json.loads(out)["num_photos"]) == (0, 1)


def test_runs_show_their_curves(command, tiny_model, blind, photo_folder, tmp_path):
    one = make_run(tmp_path / "<b>one", tiny_model, f"{HEAD}1,0.9,0.5,0.4,1,1\n2,0.7,nan,0.6,1,1\n")
    two = make_run(tmp_path / "two", blind, HEAD)
    page = tmp_path / "page.html"
    code, _, err = command("compare", one, two, "--data", photo_folder, "--report", page)
    assert code == 0, err
    text = page.read_text()
    assert text.count("<figure") == 2
    assert text.count("<polyline") == 2 + 3  # accuracy and training loss; three in the legends
    assert text.count("<circle") == 1  # the one finite validation loss
    assert "<b>one" not in text


def test_unreadable_photos_are_named_once(command, tiny_model, blind, photo_folder, tmp_path):
    shutil.copytree(photo_folder / "glass", tmp_path / "set" / "glass")
    (tmp_path / "set" / "glass" / "bad.jpg").write_bytes(b"")
    code, out, err = command("compare", tiny_model, blind, "--data", tmp_path / "set", "--json")
    assert code == 3
    assert (json.loads(out)["num_photos"], json.loads(out)["num_unanswered"]) == (12, 1)
    assert err.count("bad.jpg is empty") == 1


def test_the_model_in_the_package(command, photo_folder, tmp_path):
    shutil.copytree(photo_folder / "glass", tmp_path / "glass" / "glass")
    code, out, _ = command(
        "compare", "built-in", "built-in", "--data", tmp_path / "glass", "--json"
    )
    assert code == 0
    assert json.loads(out)["differences"][0]["difference"] == 0


def test_what_is_refused(command, tiny_model, make_model, photo_folder, tmp_path):
    other = make_model(class_names=("glass", "metal", "\x1b[31m"))
    unfinished = make_run(tmp_path / "unfinished", None, HEAD)
    damaged = make_run(tmp_path / "damaged", tiny_model, "nonsense\n")
    (tmp_path / "wrong.csv").write_text("path,target,logit_a,logit_b\nx.jpg,2,0,1\n")
    data = ("--data", photo_folder)
    for words, code, message in (
        ((tiny_model, *data), 2, "needs two or more classifiers, not 1"),
        ((tiny_model, tiny_model), 2, "is a model, which needs photos: give --data"),
        ((tiny_model, other, *data), 2, "have different classes: only"),
        ((tiny_model, unfinished, *data), 2, "has no model.onnx; finish its run"),
        ((tiny_model, damaged, *data), 1, "metrics.csv, line 1: the columns must be"),
        ((tiny_model, tmp_path / "none", *data), 2, "no model file"),
        ((tiny_model, tmp_path / "wrong.csv", *data), 1, "a target from 0 to 1"),
        ((tiny_model, photo_folder / "glass/glass1.jpg", *data), 4, "is not a RecycleNet model"),
        ((tmp_path / "wrong.csv", tmp_path / "wrong.csv", "--split", "test"), 2, "give --data"),
    ):
        ended, out, err = command("compare", *words)
        assert (ended, out) == (code, ""), err
        assert message in err
        assert len(err.splitlines()) == 1


def test_an_output_is_never_an_input(command, tiny_model, photo_folder, tmp_path):
    table = tmp_path / "table.csv"
    command("evaluate", "--model", tiny_model, "--data", photo_folder, "--predictions", table)
    for target in (table, photo_folder / "glass" / "glass1.jpg"):
        code, _, err = command("compare", table, table, "--report", target, "--force")
        assert code == 2
        assert "is also an input" in err
