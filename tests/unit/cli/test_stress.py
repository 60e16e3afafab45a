"""What `recyclenet stress` says of a model whose answers are known."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recyclenet.evaluation.changes import CHANGES


def rows(dataset: dict) -> dict[tuple[str, str], dict]:
    return {(row["change"], row["strength"]): row for row in dataset["changes"]}


def test_figures_and_page(command, tiny_model, photo_folder, tmp_path):
    page = tmp_path / "page.html"
    words = ("stress", "--model", tiny_model, "--data", photo_folder, "--json")
    code, out, err = command(*words, "--report", page)
    assert (code, err) == (0, f"wrote {page}\n")
    (found,) = json.loads(out)["datasets"]
    assert (found["num_photos"], found["accuracy"], found["split"]) == (36, 1, "all")
    assert len(found["changes"]) == 3 * len(CHANGES)
    by_strength = rows(found)
    assert by_strength["rotation", "90°"]["accuracy"] == 1  # the model looks at the colour
    assert by_strength["JPEG", "quality 40"]["difference"] == 0
    assert page.read_text().count("data:image/jpeg") == 3 * len(CHANGES)
    assert command(*words)[1] == out


def test_untouched_photos_are_scored_as_by_evaluate(command, tiny_model, photo_folder, tmp_path):
    shutil.copytree(photo_folder, tmp_path / "set")
    for number in (1, 2, 3):
        (tmp_path / f"set/glass/glass{number}.jpg").rename(tmp_path / f"set/metal/g{number}.jpg")
    options = ("--model", tiny_model, "--data", tmp_path / "set", "--json")
    evaluated = json.loads(command("evaluate", *options)[1])
    (found,) = json.loads(command("stress", *options)[1])["datasets"]
    assert found["accuracy"] == evaluated["accuracy"] == pytest.approx(33 / 36, abs=1e-6)
    assert found["interval95"] == evaluated["interval95"]


def test_a_second_dataset_with_other_labels(command, tiny_model, photo_folder, tmp_path):
    shutil.copytree(photo_folder / "metal", tmp_path / "web" / "can")
    shutil.copytree(photo_folder / "glass", tmp_path / "web" / "shoe")
    options = ("stress", "--model", tiny_model, "--data", photo_folder, "--limit", 6, "--json")
    options = (*options, "--also", f"else={tmp_path / 'web'}")
    code, _, err = command(*options)
    assert code == 1
    assert "unknown label 'can'" in err
    code, out, err = command(*options, "--map", "else:can=metal,shoe=_", "--map", "paper=metal")
    assert (code, err) == (
        0,
        "left out: 12 photos of else labelled shoe (label map)\n",
    )
    first, second = json.loads(out)["datasets"]
    assert (first["num_photos"], second["num_photos"]) == (6, 6)
    assert (second["name"], second["accuracy"]) == ("else", 1)
    assert first["accuracy"] == pytest.approx(4 / 6, abs=1e-6)  # paper counts as metal
    code, _, err = command(*options, "--map", "cann=metal")
    assert code == 2
    assert "did you mean 'can'" in err


def test_a_limit_takes_photos_of_every_class(command, tiny_model, photo_folder):
    options = ("stress", "--model", tiny_model, "--data", photo_folder)
    code, out, _ = command(*options, "--limit", 3)
    assert code == 0
    assert out.startswith(f"{photo_folder.name}, all: 3 photos, untouched 100.0%")
    assert len(out.splitlines()) == 3 + 3 * len(CHANGES)
    assert out.splitlines()[-1] == (
        "background: no object on a plain background found in 3 of 3 photos; not measured"
    )
    assert command(*options, "--limit", 0)[0] == 2


def test_unreadable_photos_are_named(command, tiny_model, photo_folder, tmp_path):
    shutil.copytree(photo_folder / "glass", tmp_path / "set" / "glass")
    (tmp_path / "set" / "glass" / "bad.jpg").write_bytes(b"")
    code, out, err = command("stress", "--json", "--model", tiny_model, "--data", tmp_path / "set")
    assert code == 3
    (found,) = json.loads(out)["datasets"]
    assert (found["num_photos"], found["num_unanswered"]) == (12, 1)
    assert "bad.jpg is empty" in err
    for path in (tmp_path / "set" / "glass").glob("glass*"):
        path.unlink()
    code, out, err = command("stress", "--model", tiny_model, "--data", tmp_path / "set")
    assert (code, out) == (1, "")
    assert "none of the 1 photos can be read" in err


@pytest.fixture
def plain_folder(tmp_path, photo_folder) -> Path:
    """3 photos of glass on a plain board, one of them labelled metal, and 2 that show no board."""
    down, across = np.mgrid[:96, :128]
    disc = (down - 48) ** 2 + (across - 64) ** 2 < 40**2
    for number, label in enumerate(("glass", "glass", "metal")):
        image = np.full((96, 128, 3), 250, np.uint8)
        with Image.open(photo_folder / "glass" / f"glass{number + 1}.jpg") as photo:
            image[disc] = np.asarray(photo.resize((128, 96)))[disc]
        path = tmp_path / "plain" / label / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    for number in (4, 5):
        shutil.copy(photo_folder / "glass" / f"glass{number}.jpg", tmp_path / "plain" / "glass")
    return tmp_path / "plain"


def test_other_backgrounds_without_the_photos_that_cannot_be_cut(
    command, tiny_model, plain_folder, tmp_path
):
    page = tmp_path / "page.html"
    options = ("stress", "--model", tiny_model, "--data", plain_folder)
    code, out, err = command(*options, "--report", page)
    assert (code, err) == (0, f"wrote {page}\n")
    note = (
        "background: no object on a plain background found in 2 of 5 photos, which are left out; "
        "accuracy on the other 3, untouched: 66.7%"
    )
    assert out.splitlines()[-1] == note
    assert note in page.read_text()
    assert page.read_text().count("data:image/jpeg") == 3 * len(CHANGES) + 4
    (found,) = json.loads(command(*options, "--json")[1])["datasets"]
    assert (found["num_uncut"], found["accuracy"]) == (2, 0.8)
    by_strength = rows(found)
    for strength in ("own colour", "gradient", "texture", "clutter"):
        row = by_strength["background", strength]
        assert (row["num_photos"], row["untouched"]) == (3, pytest.approx(2 / 3, abs=1e-6))
    assert by_strength["background", "own colour"]["difference"] == 0
    assert by_strength["rotation", "15°"]["num_photos"] == 5


def test_backgrounds_of_ones_own(command, tiny_model, plain_folder, photo_folder, tmp_path):
    folder = tmp_path / "backgrounds"
    shutil.copytree(photo_folder / "metal", folder)
    options = ("stress", "--json", "--model", tiny_model, "--data", plain_folder)
    code, out, err = command(*options, "--backgrounds", folder)
    assert (code, err) == (0, "")
    (found,) = json.loads(out)["datasets"]
    texts = [row["strength"] for row in found["changes"] if row["change"] == "background"]
    assert texts == ["own colour", "own photos"]
    (folder / "bad.jpg").write_bytes(b"no photo")
    code, out, err = command(*options, "--backgrounds", folder)
    assert code == 3
    assert "left out" in err
    assert "bad.jpg" in err
    code, out, err = command(*options, "--backgrounds", folder / "bad.jpg")
    assert (code, out) == (1, "")
    assert "none of the 1 backgrounds can be read; choose others" in err
    code, out, err = command(*options, "--backgrounds", folder / "none.jpg")
    assert (code, out) == (2, "")
    assert "none.jpg does not exist; name photos of backgrounds" in err
