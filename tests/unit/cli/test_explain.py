"""What a user and a script get from `recyclenet explain`."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from recyclenet.core import extras
from recyclenet.inference.classifier import Classifier

SIZE = 64


@pytest.fixture(scope="module")
def corner_model(make_model):
    """A model that looks at the bottom left corner only."""
    mask = np.zeros((SIZE, SIZE), np.float32)
    mask[-16:, :16] = 16
    return make_model(image_size=SIZE, mask=mask)


@pytest.fixture(scope="module")
def two_colours(tmp_path_factory):
    """A photo that is metal in its bottom left corner, and glass elsewhere."""
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    image[:] = (40, 200, 40)
    image[-16:, :16] = (40, 40, 220)
    noise = np.random.default_rng(0).integers(-30, 31, image.shape)
    path = tmp_path_factory.mktemp("two") / "two.png"
    Image.fromarray((image + noise).clip(0, 255).astype(np.uint8)).save(path)
    return path


def test_occlusion_finds_the_corner_that_decides(corner_model, two_colours):
    from recyclenet import explain

    explanation = explain(two_colours, corner_model)
    assert explanation.label == "metal"
    row, column = np.unravel_index(explanation.heatmap.argmax(), explanation.heatmap.shape)
    assert row >= SIZE - 24
    assert column < 24
    assert explanation.heatmap[: SIZE // 2].max() < 0.05
    assert explanation.deletion.score < explanation.deletion.random - 0.1


def test_a_table_figures_and_a_page(command, tiny_model, photo_folder, tmp_path):
    photos = [photo_folder / "glass" / "glass1.jpg", photo_folder / "paper" / "paper1.jpg"]
    out, page = tmp_path / "figures", tmp_path / "page.html"
    for _ in range(2):  # the second time, it replaces its own files
        code, text, err = command(
            "explain", *photos, "--model", tiny_model, "--out", out, "--report", page
        )
        assert code == 0, err
    header, glass, paper, mean = text.splitlines()
    assert header.split() == ["label", "confidence", "deletion", "random", "photo"]
    assert glass.split()[0] == "glass"
    assert paper.split()[0] == "paper"
    assert paper.split()[-1] == str(photos[1])
    scores = [float(line.split()[2]) for line in (glass, paper)]
    assert all(0 <= score <= 1 for score in scores)
    assert mean.startswith(f"mean: deletion {sum(scores) / 2:.3f}"[:-1])
    assert err.splitlines() == [f"wrote {page}", f"wrote 2 figures in {out}"]
    assert sorted(file.name for file in out.iterdir()) == ["glass1.png", "paper1.png"]
    assert Image.open(out / "glass1.png").size == (32, 16)
    html = page.read_text()
    assert html.count("<article") == 2
    assert html.count("data:image/jpeg") == 4
    assert html.count("deletion score 0.") == 2


def test_json_rows_and_a_photo_that_cannot_be_read(command, tiny_model, messy_folder, tmp_path):
    good, bad = messy_folder / "good" / "grey.png", messy_folder / "bad" / "text.jpg"
    code, out, err = command(
        "explain", "--json", bad, good, "--model", tiny_model, "--label", "paper",
        "--out", tmp_path / "f", "--report", tmp_path / "page.html",
    )  # fmt: skip
    failed, done = (json.loads(line) for line in out.splitlines())
    assert code == 3
    assert err.splitlines()[-1] == "1 of 2 photos have no answer"
    assert failed.keys() == done.keys()
    assert "text.jpg" in failed["error"]
    assert (failed["deletion"], failed["figure"], failed["label"]) == (None, None, None)
    assert done["error"] is None
    assert (done["method"], done["explains"]) == ("occlusion", "paper")
    assert done["figure"] == str(tmp_path / "f" / "grey.png")
    assert 0 <= done["deletion"] <= 1
    assert 0 <= done["deletion_random"] <= 1
    assert "text.jpg" in (tmp_path / "page.html").read_text()
    code, out, err = command("explain", bad, good, "--model", tiny_model)
    assert code == 3
    assert len(out.splitlines()) == 2
    assert [line for line in err.splitlines() if line.startswith("error: ")] == [
        f"error: {failed['error']}"
    ]


def test_two_models_beside_each_other(command, corner_model, tiny_model, two_colours, tmp_path):
    page, out = tmp_path / "page.html", tmp_path / "f"
    models = ("--model", corner_model, "--against", tiny_model)
    code, text, err = command("explain", two_colours, *models, "--report", page, "--out", out)
    assert code == 0, err
    assert [line.split()[0] for line in text.splitlines()] == ["label", "metal", "glass"]
    assert page.read_text().count("<article") == 2
    assert Image.open(out / "two.png").size == (3 * SIZE, SIZE)
    code, text, _ = command("explain", "--json", two_colours, *models)
    row = json.loads(text)
    assert (row["label"], row["against"]["label"]) == ("metal", "glass")
    assert (row["model"], row["against"]["model"]) == (str(corner_model), str(tiny_model))


def test_only_photos_on_which_the_models_differ(
    command, corner_model, tiny_model, two_colours, photo_folder, tmp_path
):
    photos = (two_colours, photo_folder / "glass" / "glass1.jpg")
    models = ("--model", corner_model, "--against", tiny_model, "--only-different")
    code, text, err = command(
        "explain", "--json", *photos, *models, "--out", tmp_path / "f", "--report", tmp_path / "p"
    )
    assert code == 0
    assert [json.loads(line)["path"] for line in text.splitlines()] == [str(two_colours)]
    assert "the models agree on 1 of 2 photos" in err
    assert [file.name for file in (tmp_path / "f").iterdir()] == ["two.png"]
    assert (tmp_path / "p").read_text().count("<article") == 2


def test_photos_and_foreign_files_stay(command, tiny_model, photo_folder, tmp_path):
    folder = tmp_path / "photos"
    shutil.copytree(photo_folder / "glass", folder)
    Image.open(folder / "glass1.jpg").save(folder / "own.png")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    code, _, err = command("explain", folder, "--model", tiny_model, "--out", folder, "--force")
    assert code == 2
    assert "own.png is also an input" in err
    out = tmp_path / "out"
    out.mkdir()
    (out / "glass1.png").write_bytes(b"mine")
    arguments = ("explain", folder / "glass1.jpg", "--model", tiny_model, "--out", out)
    code, _, err = command(*arguments)
    assert code == 2
    assert "--force" in err
    assert (out / "glass1.png").read_bytes() == b"mine"
    code, _, err = command(*arguments, "--report", out / "glass1.png", "--force")
    assert code == 2
    assert "both name" in err
    assert command(*arguments, "--force")[0] == 0
    assert Image.open(out / "glass1.png").size == (32, 16)
    code, _, err = command(
        "explain", folder / "glass1.jpg", "--model", tiny_model, "--report", tiny_model, "--force"
    )
    assert code == 2
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "saliency"], "unknown method 'saliency': known: feature-map, gradcam, occl"),
        (["--method", "gradcam"], "gradcam needs the PyTorch network of a run folder"),
        (["--method", "feature-map", "--model", "{model}"], "model.onnx; give --model RUN"),
        (["--label", "gold"], "unknown class 'gold'"),
        (["--label", "cardboard", "--against", "{model}"], "unknown class 'cardboard'"),
        (["--only-different"], "needs a second model"),
        (["--model", "{empty}"], "has no model.onnx"),
        (["--against", "none.onnx"], "no model file none.onnx"),
        (["--out", "{photo}"], "is not a folder"),
    ],
)
def test_mistakes_of_the_user_end_with_2(
    command, tiny_model, photo_folder, tmp_path, arguments, message
):
    (tmp_path / "empty").mkdir()
    photo = photo_folder / "glass" / "glass1.jpg"
    places = {"model": tiny_model, "empty": tmp_path / "empty", "photo": photo}
    code, out, err = command("explain", photo, *(word.format(**places) for word in arguments))
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1
    assert len(out.splitlines()) <= 1


def test_a_method_of_pytorch_names_the_extra(
    command, photo_folder, tiny_model, tmp_path, monkeypatch
):
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(tiny_model, run / "model.onnx")
    monkeypatch.setattr(extras, "TRAIN_MODULES", ("no_such_module",))
    photo = photo_folder / "glass" / "glass1.jpg"
    code, _, err = command("explain", photo, "--model", run, "--method", "gradcam")
    assert code == 1
    assert "the method gradcam needs the 'train' extra: pip install" in err
    assert command("explain", photo, "--model", run)[0] == 0  # occlusion reads the model file


@pytest.mark.parametrize("fails", ["all", "when empty"])
def test_a_model_that_fails_on_hidden_parts_only(
    command, tiny_model, photo_folder, monkeypatch, fails
):
    real = Classifier.logits

    def logits(self: Classifier, batch: np.ndarray) -> np.ndarray:
        found = real(self, batch).copy()
        found[[fails == "all" or not image.any() for image in batch]] = np.nan
        return found

    monkeypatch.setattr(Classifier, "logits", logits)  # `classify` calls `outputs`
    photo = photo_folder / "glass" / "glass1.jpg"
    code, out, err = command("explain", photo, photo, "--json", "--model", tiny_model)
    assert code == 4
    assert [json.loads(line)["label"] for line in out.splitlines()] == [None, None]
    assert "non-finite logits for a photo with hidden parts" in err
    assert len(err.splitlines()) == 1


def test_hostile_names_stay_text(command, make_model, photo_folder, tmp_path):
    model = make_model(class_names=("<b>\x1b[31m", "b\nc", "=1+1"))
    photo = tmp_path / "<i>\x1b[31m\u202e.jpg"
    shutil.copy(photo_folder / "glass" / "glass1.jpg", photo)
    page = tmp_path / "page.html"
    code, out, err = command(
        "explain", photo, "--model", model, "--against", model, "--report", page, "--out",
        tmp_path / "f",
    )  # fmt: skip
    assert code == 0, err
    html = page.read_text(encoding="utf-8")
    for text in (out, err, html):
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "<b>\\x1b" not in html
    assert "<i>" not in html
