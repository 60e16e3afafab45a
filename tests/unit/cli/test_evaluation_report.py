"""The page and the file of metrics that `recyclenet evaluate` writes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from recyclenet.data.manifest import Manifest, Sample, write_manifest
from recyclenet.inference.classifier import Classifier


@pytest.fixture
def labelled(photo_folder, tmp_path) -> Path:
    """24 photos, 5 with a wrong label; some in the group of a training photo; two domains."""
    rows = []
    for label in ("glass", "metal", "paper"):
        for number in range(1, 13):
            told = "glass" if label == "metal" and number in (1, 3, 5, 7) else label
            told = "paper" if (label, number) == ("glass", 1) else told
            rows.append(
                Sample(
                    photo_folder / label / f"{label}{number}.jpg",
                    told,
                    "test" if number <= 8 else "train",
                    domain="home" if number % 2 else "web",
                    group=f"g{number % 8}" if label == "glass" and number < 10 else "",
                    sha256="" if label == "paper" else f"{label}{number}",
                )
            )
    write_manifest(Manifest(tuple(rows)), tmp_path / "set.csv")
    return tmp_path / "set.csv"


def test_metrics_agree_with_scikit_learn(command, decisive_model, labelled, tmp_path):
    reference = pytest.importorskip("sklearn.metrics")
    code, out, err = command(
        "evaluate", "--json", "--model", decisive_model, "--data", labelled, "--min-confused", "2",
        "--metrics", tmp_path / "m.json", "--predictions", tmp_path / "p.csv",
    )  # fmt: skip
    assert code == 0, err

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not strict JSON")

    row = json.loads((tmp_path / "m.json").read_text("ascii"), parse_constant=refuse)
    with (tmp_path / "p.csv").open(newline="") as file:
        _, *table = csv.reader(file)
    names = row["class_names"]
    logits = np.array([line[2:] for line in table], np.float64)
    targets, answers = np.array([int(line[1]) for line in table]), logits.argmax(1)
    exponent = np.exp(logits / Classifier(decisive_model, threads=1).info.temperature)
    probabilities = exponent / exponent.sum(1, keepdims=True)

    def close(value: object) -> object:
        return pytest.approx(value, abs=2e-5)  # the table has six digits

    assert row["num_photos"] == 24
    assert row["accuracy"] == close(reference.accuracy_score(targets, answers))
    assert row["balanced_accuracy"] == close(reference.balanced_accuracy_score(targets, answers))
    assert row["macro_f1"] == close(reference.f1_score(targets, answers, average="macro"))
    assert row["nll"] == close(reference.log_loss(targets, probabilities))
    assert row["top2_accuracy"] == close(
        reference.top_k_accuracy_score(targets, probabilities, k=2)
    )
    assert row["top3_accuracy"] == 1
    confusion = reference.confusion_matrix(targets, answers)
    assert row["confusion_matrix"] == confusion.tolist()
    assert row["confusion_rates"] == [
        close(rates) for rates in (confusion / confusion.sum(1, keepdims=True)).tolist()
    ]
    figures = reference.precision_recall_fscore_support(targets, answers, zero_division=0)
    for index, name in enumerate(names):
        assert list(row["per_class"][name].values()) == close([f[index] for f in figures])
    assert row["most_confused"] == [{"true": "glass", "predicted": "metal", "num_photos": 4}]
    for key, values in (("ece", probabilities), ("ece_before", np.exp(logits))):
        values = values / values.sum(1, keepdims=True)
        sums = np.zeros(15)
        np.add.at(sums, np.minimum((values.max(1) * 15).astype(int), 14),
                  values.max(1) - (answers == targets))  # fmt: skip
        assert row["calibration"][key] == close(np.abs(sums).sum() / 24)
    assert row["calibration"]["ece"] == row["ece"]
    losses = -np.log(probabilities[np.arange(24), targets])
    wrong = sorted(losses[answers != targets].tolist(), reverse=True)
    assert [one["loss"] for one in row["worst"]][: len(wrong)] == close(wrong)
    assert json.loads(out).items() <= {**row, "data": str(labelled)}.items()


def test_metrics_count_slices_domains_copies_and_suspects(
    command, decisive_model, labelled, tmp_path
):
    code, _, err = command(
        "evaluate", "--model", decisive_model, "--data", labelled, "--metrics", tmp_path / "m.json"
    )
    assert code == 0, err
    row = json.loads((tmp_path / "m.json").read_text())
    assert {name: part["num_photos"] for name, part in row["by_domain"].items()} == {
        "home": 12, "web": 12
    }  # fmt: skip
    # Glass 1 to 8 have a group, of which glass 9 has that of glass 1; all but paper have a digest.
    assert row["overlap"] == {"num_photos": 16, "num_shared": 1}
    assert row["num_training"] == 0
    assert row["slices"].keys() == {"stream", "right_stream", "brightness", "blur"}
    for parts in row["slices"].values():
        assert sum(part["num_photos"] for part in parts) == 24
    assert row["slices"]["right_stream"][0]["accuracy"] == 1  # all three are recyclable
    right = sum(p["num_photos"] * p["accuracy"] for p in row["slices"]["brightness"])
    assert right == pytest.approx(19, abs=1e-3)
    suspects = {Path(suspect["path"]).name for suspect in row["suspects"]}
    wrong = {"metal1.jpg", "metal3.jpg", "metal5.jpg", "metal7.jpg", "glass1.jpg"}
    assert suspects <= wrong
    assert len(suspects) >= 3


def test_training_photos_are_told(command, tiny_model, labelled, tmp_path):
    options = ("evaluate", "--model", tiny_model, "--data", labelled, "--split", "all")
    assert command(*options, "--report", tmp_path / "page.html")[0] == 0
    assert "12 of these photos are in the training split" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("options", "num_photos", "num_pictures"),
    [((), 5, 5), (("--photos", "2"), 2, 2), (("--photos", "0"), 0, 0),
     (("--photos", "3", "--heatmaps", "2"), 3, 5), (("--photos", "1", "--heatmaps", "2"), 1, 2)],
)  # fmt: skip
def test_page_has_the_worst_photos(
    command, tiny_model, labelled, tmp_path, options, num_photos, num_pictures
):
    code, _, err = command(
        "evaluate", "--model", tiny_model, "--data", labelled, "--report", tmp_path / "page.html",
        *options,
    )  # fmt: skip
    assert code == 0, err
    page = (tmp_path / "page.html").read_text()
    assert page.count("<article") == num_photos
    assert page.count("<img") == num_pictures
    for words in ("Reliability diagram", "Risk-coverage curve", "Labels to check", "brightness"):
        assert words in page


def test_rare_confusions_are_left_out_of_the_page(command, tiny_model, labelled, tmp_path):
    options = ("evaluate", "--model", tiny_model, "--data", labelled, "--photos", "0")
    for least, expected in ((1, 2), (2, 1), (9, 0)):
        path = tmp_path / f"{least}.html"
        assert command(*options, "--report", path, "--min-confused", str(least))[0] == 0
        assert path.read_text().count("<tr data-t") == expected


def test_page_of_merged_classes(command, tiny_model, photo_folder, tmp_path):
    rows = [Sample(photo_folder / "paper" / "paper1.jpg", "container")]
    rows += [Sample(photo_folder / "glass" / f"glass{n}.jpg", "container") for n in (1, 2)]
    write_manifest(Manifest(tuple(rows)), tmp_path / "set.csv")
    code, _, err = command(
        "evaluate", "--model", tiny_model, "--data", tmp_path / "set.csv", "--map-model",
        "glass=container,metal=container", "--report", tmp_path / "page.html", "--metrics",
        tmp_path / "m.json", "--heatmaps", "1",
    )  # fmt: skip
    assert code == 0, err
    row = json.loads((tmp_path / "m.json").read_text())
    assert [(one["true"], one["predicted"]) for one in row["worst"]] == [("container", "paper")]
    assert "stream" not in row["slices"]
    assert 'data-t="0" data-p="1"' in (tmp_path / "page.html").read_text()


def test_names_that_are_not_text_stay_strict_json(command, tiny_model, photo_folder, tmp_path):
    folder = tmp_path / "set" / "glass"
    folder.mkdir(parents=True)
    content = (photo_folder / "metal" / "metal1.jpg").read_bytes()
    for name in ("\udcff\n<script>.jpg", "玻璃.jpg"):
        (folder / name).write_bytes(content)
    code, _, err = command(
        "evaluate", "--model", tiny_model, "--data", tmp_path / "set", "--metrics",
        tmp_path / "m.json", "--report", tmp_path / "page.html",
    )  # fmt: skip
    assert code == 0, err
    row = json.loads((tmp_path / "m.json").read_text("ascii"))
    assert {Path(one["path"]) for one in row["worst"]} == set(folder.iterdir())
    assert "<script>.jpg" not in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    "options",
    [("--photos", "-1"), ("--photos", "1001"), ("--heatmaps", "-1"), ("--min-confused", "0")],
)
def test_numbers_out_of_range_are_refused(command, tiny_model, photo_folder, options):
    code, out, err = command("evaluate", "--model", tiny_model, "--data", photo_folder, *options)
    assert (code, out) == (2, "")
    assert options[0] in err
