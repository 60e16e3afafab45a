"""`recyclenet teach`: ten photos in, a model file with one class more out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recyclenet import Classifier, teach
from recyclenet.core.model_info import ModelInfo, check_seal, replace_info
from recyclenet.errors import DataError, ModelFileError, UsageError
from recyclenet.inference.exemplars import Exemplars
from recyclenet.inference.head import Head

CLASS_NAMES = ("glass", "metal", "paper")


def battery(seed: int) -> Image.Image:
    """Return a seeded yellow picture; no class of the tiny model is yellow."""
    noise = np.random.default_rng(seed).integers(-30, 31, (9, 12, 3))
    small = (np.array([200, 200, 40]) + noise).clip(0, 255).astype(np.uint8)
    return Image.fromarray(small).resize((96, 72), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def model(make_model, photo_folder) -> Path:
    """The tiny model with features and exemplars."""
    plain = Classifier(make_model(features=True), threads=1)

    def outputs(*numbers):
        paths = [photo_folder / c / f"{c}{n}.jpg" for c in CLASS_NAMES for n in numbers]
        found = [out for _, out, _ in plain.outputs_many(paths)]
        return np.stack([f.features for f in found]), np.repeat(range(3), len(numbers)), found

    train, train_targets, given = outputs(*range(1, 8))
    held_out, targets, found = outputs(*range(8, 12))
    exemplars = Exemplars(
        train=train,
        train_targets=train_targets,
        held_out=held_out,
        held_out_targets=targets,
        train_logits=np.stack([row.logits for row in given]),
        held_out_logits=np.stack([row.logits for row in found]),
    )
    statistics = {"exemplars": exemplars.to_statistics(), "risk": {"stale": 1}}
    return make_model(features=True, statistics=statistics, threshold=0.0)


@pytest.fixture(scope="module")
def batteries(tmp_path_factory) -> Path:
    """Ten photos of a class that the model does not know."""
    folder = tmp_path_factory.mktemp("batteries")
    for number in range(10):
        battery(number).save(folder / f"{number}.jpg", quality=90)
    return folder


def test_a_new_class_is_learned_and_the_others_are_kept(
    model, batteries, photo_folder, run_cli, tmp_path
):
    out = tmp_path / "mine.onnx"
    command = ["teach", batteries, "--label", "battery", "--model", model, "--out", out]
    command += ["--stream", "hazardous"]
    done = run_cli(*command, "--json")
    assert done.code == 0, done.err
    row = json.loads(done.out)
    assert (row["is_new"], row["num_photos"], row["stream"]) == (True, 10, "hazardous")
    assert row["recall"] >= 0.8
    assert row["recall_before"] == 0
    assert row["accuracy_before"] == row["accuracy"] == 1
    assert [point["num_photos"] for point in row["curve"]] == [3, 5, 9]
    assert row["warning"] is None
    check_seal(out.read_bytes(), "mine")
    classifier = Classifier(out)
    assert classifier.info.class_names == (*CLASS_NAMES, "battery")
    assert classifier.streams["battery"] == "hazardous"
    answers = [classifier.classify(battery(100 + number)).label for number in range(20)]
    assert answers.count("battery") >= 17
    for label in CLASS_NAMES:
        for path in sorted((photo_folder / label).iterdir()):
            assert classifier.classify(path).label == label
    # What rests on the old classes only is gone; the confusions are counted anew.
    assert set(classifier.info.statistics) == {"correction", "exemplars", "confusion"}
    assert run_cli("audit", photo_folder, "--model", out).code == 0
    text = run_cli(*command)
    assert "battery (a new class, hazardous), 10 photos" in text.out
    assert text.err.splitlines()[-1] == f"wrote {out}"


def test_a_taught_model_can_be_taught_again(model, batteries, tmp_path):
    teach(batteries, "battery", model, out=tmp_path / "one.onnx", stream="other")
    blacks = []
    for number in range(10):
        path = tmp_path / f"{number}.png"
        Image.fromarray(np.full((40, 40, 3), 5 + 3 * number, np.uint8)).save(path)
        blacks.append(path)
    result = teach(blacks, "tyre", tmp_path / "one.onnx", out=tmp_path / "two.onnx")
    assert result.info.class_names == (*CLASS_NAMES, "battery", "tyre")
    assert result.info.streams["battery"] == "other"
    classifier = Classifier(tmp_path / "two.onnx")
    assert classifier.classify(battery(77)).label == "battery"
    assert classifier.classify(np.full((40, 40, 3), 20, np.uint8)).label == "tyre"
    again = teach(blacks, "tyre", tmp_path / "one.onnx")
    assert again.content == result.content


def test_a_file_that_an_earlier_release_taught_can_be_taught_again(
    make_model, model, batteries, photo_folder, tmp_path
):
    # Earlier releases kept the last layer instead of the logits, and replaced it in a taught file.
    head = Head(4 * np.roll(np.eye(3, dtype=np.float32), 1, axis=1), np.ones(3, np.float32))
    statistics = dict(Classifier(model).info.statistics)
    exemplars = dict(statistics["exemplars"])
    del exemplars["train_logits"], exemplars["held_out_logits"]
    exemplars |= {"head": head.to_statistics("float16"), "predicted": [0] * 12}
    statistics |= {"exemplars": exemplars, "head": head.to_statistics()}
    old = make_model(features=True, statistics=statistics, threshold=0.0)
    result = teach(batteries, "battery", old, out=tmp_path / "mine.onnx", stream="other")
    assert result.accuracy_before == result.accuracy == 1
    assert set(result.info.statistics) == {"head", "exemplars", "confusion"}
    classifier = Classifier(tmp_path / "mine.onnx")
    assert classifier.classify(battery(77)).label == "battery"
    for label in CLASS_NAMES:
        assert classifier.classify(photo_folder / label / f"{label}1.jpg").label == label


def test_the_unknown_score_learns_the_new_class(
    make_model, model, batteries, photo_folder, tmp_path
):
    statistics = dict(Classifier(model).info.statistics)
    # The tiny model's features are the mean red, green and blue; a yellow photo looks foreign.
    yellow = Head(np.array([[6, 6, -6]], np.float32), np.array([-4], np.float32))
    statistics["unknown"] = yellow.to_statistics()
    scored = make_model(features=True, statistics=statistics, threshold=0.2)
    old = Classifier(scored)
    photos = [battery(100 + number) for number in range(10)]
    assert min(old.classify(photo).unknown for photo in photos) > 0.9
    teach(batteries, "battery", scored, out=tmp_path / "mine.onnx", stream="hazardous")
    taught = Classifier(tmp_path / "mine.onnx")
    answers = [taught.classify(photo) for photo in photos]
    assert max(answer.unknown for answer in answers) < 0.5
    assert sum(answer.known for answer in answers) >= 8
    for label in CLASS_NAMES:  # their scores stay, as far as three features allow
        for path in (photo_folder / label).iterdir():
            assert abs(taught.classify(path).unknown - old.classify(path).unknown) < 0.3


def test_the_taxonomies_know_the_stream(model, batteries):
    for label, stream in (("eggshells", "kitchen"), ("coffee capsule", "other")):
        assert teach(batteries, label, model).info.streams[label] == stream


def test_a_correction_keeps_the_classes(model, batteries, run_cli, tmp_path):
    out = tmp_path / "mine.onnx"
    result = teach(batteries, "glass", model, out=out)
    assert not result.is_new
    assert result.info.class_names == CLASS_NAMES
    assert result.recall >= result.recall_before
    assert Classifier(out).classify(battery(55)).label == "glass"
    with pytest.raises(UsageError, match="has the class 'glass' already"):
        teach(batteries, "glass", model, stream="kitchen")


def test_the_plain_installation_is_enough(model, batteries, tmp_path):
    out = tmp_path / "mine.onnx"
    program = f"""
import sys
from recyclenet.core.extras import DATA_MODULES, TRAIN_MODULES
for name in (*DATA_MODULES, *TRAIN_MODULES):
    sys.modules[name] = None  # cannot be imported
from recyclenet import teach
teach({str(batteries)!r}, "battery", {str(model)!r}, out={str(out)!r})
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert out.is_file()


def test_few_photos_are_refused_or_warned_of(model, batteries, run_cli, tmp_path):
    paths = sorted(batteries.iterdir())
    command = ["teach", "--label", "battery", "--model", model, "--out", tmp_path / "m.onnx"]
    done = run_cli(*command, *paths[:2])
    assert (done.code, done.out) == (2, "")
    assert "3 to 200 photos, best 10 or more, not 2" in done.err
    assert not (tmp_path / "m.onnx").exists()
    done = run_cli(*command, *paths[:4])
    assert done.code == 0
    assert "warning: only 4 photos" in done.err


def test_unreadable_photos_are_named(model, batteries, run_cli, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    out = tmp_path / "m.onnx"
    command = ["teach", "--label", "battery", "--model", model, "--out", out]
    done = run_cli(*command, batteries, tmp_path / "bad.jpg")
    assert done.code == 3
    assert "bad.jpg" in done.err
    assert len(Classifier(out).info.class_names) == 4
    copy = tmp_path / "copy.jpg"
    copy.write_bytes((batteries / "0.jpg").read_bytes())
    with pytest.raises(DataError, match="only 2 of 4 different photos"):
        teach([batteries / "0.jpg", batteries / "1.jpg", copy, tmp_path / "bad.jpg"], "x", model)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": " "}, "the label must be"),
        ({"label": "a\nb"}, "the label must be"),
        ({"label": "x" * 101}, "the label must be"),
        ({"label": " glass"}, "the label must be"),
        ({"label": "Glass"}, "has the class 'glass', not 'Glass'"),
        ({"stream": "compost"}, "unknown stream 'compost'"),
        ({"max_lost": 0.9}, "max_lost must be"),
    ],
)
def test_invalid_arguments_are_refused(model, batteries, changes, message):
    with pytest.raises(UsageError, match=message) as caught:
        teach(batteries, model=model, **{"label": "battery", **changes})
    assert "\n" not in str(caught.value)


def test_models_that_cannot_be_taught(tiny_model, model, batteries, run_cli, tmp_path):
    with pytest.raises(UsageError, match="no exemplars"):
        teach(batteries, "battery", tiny_model)
    info = json.loads(Classifier(model).info.to_json())
    info["statistics"]["exemplars"]["scale"] = "x"
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(replace_info(model.read_bytes(), ModelInfo.from_json(json.dumps(info))))
    with pytest.raises(ModelFileError, match="invalid exemplars"):
        teach(batteries, "battery", broken)
    options = ["--label", "battery", "--model", broken, "--out", tmp_path / "m.onnx"]
    done = run_cli("teach", batteries, *options)
    assert (done.code, done.err.count("\n")) == (4, 1)


def test_no_input_is_replaced(model, batteries, run_cli, tmp_path):
    command = ["teach", batteries, "--label", "battery", "--model", model, "--out"]
    for target in (model, batteries / "0.jpg"):
        done = run_cli(*command, target)
        assert done.code == 2
        assert "is also an input" in done.err
    mine = tmp_path / "diary.txt"
    mine.write_text("dear diary")
    assert "is not a model file that RecycleNet wrote" in run_cli(*command, mine).err
