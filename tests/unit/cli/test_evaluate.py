"""What `recyclenet evaluate` says of a model whose answers are known."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from recyclenet.data.manifest import Manifest, Sample, write_manifest


@pytest.fixture
def some_wrong(photo_folder, tmp_path) -> Path:
    """12 photos, 2 of them with a wrong label, half of them for testing."""
    rows = []
    for label in ("glass", "metal", "paper"):
        for number in (1, 2, 3, 4):
            told = "glass" if label == "metal" and number > 2 else label
            split = "test" if number % 2 else "train"
            rows.append(Sample(photo_folder / label / f"{label}{number}.jpg", told, split))
    write_manifest(Manifest(tuple(rows)), tmp_path / "set.csv")
    return tmp_path / "set.csv"


def test_figures_as_json(command, tiny_model, some_wrong, tmp_path):
    code, out, err = command(
        "evaluate", "--json", "--model", tiny_model, "--data", some_wrong, "--split", "all",
        "--predictions", tmp_path / "p.csv", "--report", tmp_path / "page.html",
    )  # fmt: skip
    assert (code, err) == (0, f"wrote {tmp_path / 'p.csv'}\nwrote {tmp_path / 'page.html'}\n")
    row = json.loads(out)
    assert row["num_photos"] == 12
    assert row["accuracy"] == pytest.approx(10 / 12, abs=1e-6)
    assert row["confusion_matrix"] == [[4, 2, 0], [0, 2, 0], [0, 0, 4]]
    assert (row["split"], row["num_unreadable"], row["tta"]) == ("all", 0, False)
    with (tmp_path / "p.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 12
    assert [int(r["target"]) for r in table] == [0] * 4 + [1] * 2 + [0] * 2 + [2] * 4
    page = (tmp_path / "page.html").read_text()
    assert page.count("<article") == 2
    assert "metal3.jpg" in page


def test_test_photos_are_the_default_where_there_are_any(
    command, tiny_model, some_wrong, photo_folder
):
    _, out, _ = command("evaluate", "--json", "--model", tiny_model, "--data", some_wrong)
    assert (json.loads(out)["split"], json.loads(out)["num_photos"]) == ("test", 6)
    _, out, _ = command(
        "evaluate", "--json", "--tta", "--model", tiny_model, "--data", photo_folder
    )
    assert (json.loads(out)["split"], json.loads(out)["accuracy"]) == ("all", 1.0)


def test_text_for_people(command, tiny_model, some_wrong):
    code, out, err = command("evaluate", "--model", tiny_model, "--data", some_wrong)
    assert (code, err) == (0, "")
    assert "6 photos: accuracy 83.33% (95%:" in out
    assert out.splitlines()[-3].split() == ["glass", "2", "1", "0"]


def test_unreadable_photos_are_named_and_left_out(command, tiny_model, photo_folder, tmp_path):
    shutil.copytree(photo_folder / "glass", tmp_path / "set" / "glass")
    (tmp_path / "set" / "glass" / "bad.jpg").write_bytes(b"")
    code, out, err = command(
        "evaluate", "--json", "--model", tiny_model, "--data", tmp_path / "set"
    )
    assert code == 3
    row = json.loads(out)
    assert (row["num_photos"], row["num_unreadable"], row["num_unanswered"]) == (12, 1, 0)
    assert "bad.jpg is empty" in err
    assert "1 of 13 photos have no answer" in err


@pytest.mark.parametrize(
    ("make", "options", "code", "message"),
    [
        (("glas/a.jpg",), (), 1, "did you mean 'glass'"),
        (("glass/a.jpg",), (), 1, "none of the 1 photos can be read"),
        (("glass/a.jpg",), ("--split", "test"), 2, "no photo of this dataset is in split 'test'"),
        (("glass/a.jpg",), ("--split", "dev"), 2, "unknown split 'dev'"),
        ((), (), 2, "contains no photos"),
    ],
)
def test_what_cannot_be_evaluated(command, tiny_model, tmp_path, make, options, code, message):
    (tmp_path / "set").mkdir()
    for name in make:
        (tmp_path / "set" / name).parent.mkdir()
        (tmp_path / "set" / name).write_bytes(b"")
    ended, out, err = command(
        "evaluate", "--model", tiny_model, "--data", tmp_path / "set", *options
    )
    assert (ended, out) == (code, "")
    assert message in err
