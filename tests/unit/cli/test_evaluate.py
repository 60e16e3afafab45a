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


@pytest.fixture
def two_domains(photo_folder, tmp_path) -> Path:
    """12 photos; of those from the web, 2 of 3 metal ones have a wrong label."""
    rows = []
    for label in ("glass", "metal", "paper"):
        for number in (1, 2, 3, 4):
            told = "glass" if label == "metal" and number in (2, 3) else label
            domain = "home" if number == 1 else "web"
            path = photo_folder / label / f"{label}{number}.jpg"
            rows.append(Sample(path, told, "test", domain=domain))
    write_manifest(Manifest(tuple(rows)), tmp_path / "domains.csv")
    return tmp_path / "domains.csv"


def test_each_domain_has_its_figures(command, tiny_model, two_domains, some_wrong, tmp_path):
    options = ("evaluate", "--model", tiny_model, "--data", two_domains)
    code, out, err = command(*options, "--json", "--report", tmp_path / "page.html")
    assert code == 0, err
    domains = json.loads(out)["by_domain"]
    assert list(domains) == ["home", "web"]
    assert [domains[name]["num_photos"] for name in domains] == [3, 9]
    assert domains["home"]["accuracy"] == domains["home"]["balanced_accuracy"] == 1
    assert domains["web"]["accuracy"] == pytest.approx(7 / 9, abs=1e-6)
    assert domains["web"]["balanced_accuracy"] == pytest.approx((3 / 5 + 1 + 1) / 3, abs=1e-6)
    assert "Metrics per domain" in (tmp_path / "page.html").read_text()
    _, out, _ = command(*options)
    assert [line.split()[:3] for line in out.splitlines()[-2:]] == [
        ["home", "3", "100.00%"],
        ["web", "9", "77.78%"],
    ]
    _, out, _ = command("evaluate", "--json", "--model", tiny_model, "--data", some_wrong)
    assert json.loads(out)["by_domain"] == {}


def test_a_map_makes_other_labels_the_models(command, tiny_model, photo_folder, tmp_path):
    shutil.copytree(photo_folder, tmp_path / "set")
    (tmp_path / "set" / "metal").rename(tmp_path / "set" / "can")
    shutil.copytree(photo_folder / "glass", tmp_path / "set" / "shoe")
    options = ("evaluate", "--json", "--model", tiny_model, "--data", tmp_path / "set")
    assert command(*options)[0] == 1
    code, out, err = command(*options, "--map", "can=metal", "--map", "shoe=_")
    assert (code, err) == (0, "left out: 12 photos labelled shoe (label map)\n")
    row = json.loads(out)
    assert (row["num_photos"], row["accuracy"]) == (36, 1)


def test_the_models_classes_are_merged_for_coarser_labels(
    command, tiny_model, photo_folder, tmp_path
):
    shutil.copytree(photo_folder / "paper", tmp_path / "set" / "paper")
    shutil.copytree(photo_folder / "glass", tmp_path / "set" / "container")
    shutil.copytree(photo_folder / "metal", tmp_path / "set" / "container" / "more")
    options = ("evaluate", "--json", "--model", tiny_model, "--data", tmp_path / "set")
    code, out, err = command(
        *options, "--map-model", "glass=container,metal=container", "--predictions",
        tmp_path / "p.csv", "--report", tmp_path / "page.html",
    )  # fmt: skip
    assert code == 0, err
    row = json.loads(out)
    assert row["class_names"] == ["container", "paper"]
    assert row["confusion_matrix"] == [[24, 0], [0, 12]]
    assert (tmp_path / "p.csv").read_text().startswith("path,target,logit_container,logit_paper\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--map", "glas=metal"), "did you mean 'glass'"),
        (("--map-model", "glas=metal"), "the model has no class 'glas': did you mean 'glass'"),
        (("--map-model", "x:glass=metal"), "a map of the model's classes cannot name a domain"),
        (("--map-model", "glass=_,metal=_,paper=_"), "leaves out all classes of the model"),
        (("--map-model", "glass=x", "--rules", "germany"), "omit the rules or the model's map"),
    ],
)
def test_a_wrong_map_is_refused(command, tiny_model, photo_folder, options, message):
    code, out, err = command("evaluate", "--model", tiny_model, "--data", photo_folder, *options)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
