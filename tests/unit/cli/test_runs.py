"""What `recyclenet runs` says of run folders, whole, unfinished, damaged and foreign."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest

from recyclenet.data.manifest import Manifest, Sample, write_manifest

HEAD = "epoch,train_loss,val_loss,val_accuracy,lr,seconds\n"
RECIPE = 'name = "mine" # a name\n[model]\nbackbone = "resnet18"\n[fit]\nepochs = 3\n'


@pytest.fixture
def make_run(tiny_model):
    """A function that makes a run folder; texts replace the content of its files."""

    def make(folder: Path, *, finished: bool = True, **texts: str | None) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        samples = [Sample(folder / f"{n}.jpg", "ab"[n % 2], "train") for n in range(4)]
        write_manifest(Manifest(tuple(samples)), folder / "manifest.csv")
        (folder / "recipe.toml").write_text(RECIPE)
        (folder / "metrics.csv").write_text(f"{HEAD}1,1,1,0.25,1,1\n2,1,1,0.5,1,1\n3,1,1,nan,1,1\n")
        (folder / "checkpoints").mkdir()
        with zipfile.ZipFile(folder / "checkpoints" / "last.ckpt", "w") as archive:
            archive.writestr("data.pkl", "x")
        if finished:
            (folder / "model.onnx").write_bytes(tiny_model.read_bytes())
        names = {"manifest": "manifest.csv", "recipe": "recipe.toml", "metrics": "metrics.csv"}
        names |= {"model": "model.onnx", "checkpoint": "checkpoints/last.ckpt"}
        for key, text in texts.items():
            (folder / names[key]).unlink()
            if text is not None:
                (folder / names[key]).write_text(text)
        return folder

    return make


def listed(command, folder: Path) -> dict[str, dict]:
    code, out, _ = command("runs", "list", folder, "--json")
    assert code == 0
    return {row["name"]: row for row in map(json.loads, out.splitlines())}


def test_what_is_known_of_each_run(command, make_run, tmp_path):
    make_run(tmp_path / "done")
    make_run(tmp_path / "study" / "a" / "seed-0", finished=False)
    make_run(tmp_path / "study", finished=False, metrics=None, checkpoint=None)
    rows = listed(command, tmp_path)
    assert list(rows) == ["done", "study", "study/a/seed-0"]
    done = rows["done"]
    assert (done["recipe"], done["backbone"], done["state"]) == ("mine", "resnet18", "finished")
    assert (done["num_photos"], done["num_classes"], done["best_accuracy"]) == (4, 2, 0.5)
    assert (done["num_epochs"], done["max_epochs"], done["problem"]) == (3, 3, "")
    assert rows["study/a/seed-0"]["state"] == rows["study"]["state"] == "can be resumed"
    assert (rows["study"]["num_epochs"], rows["study"]["best_accuracy"]) == (0, None)
    code, out, err = command("runs", "list", tmp_path)
    assert (code, err) == (0, "")
    assert out.splitlines()[1].split()[:7] == ["done", "mine", "resnet18", "4", "2", "3/3", "50.0%"]


@pytest.mark.parametrize(
    ("finished", "texts", "problem"),
    [
        (True, {"model": "x"}, "is not a RecycleNet model, or is truncated"),
        (True, {"manifest": "path,label\n"}, "lists no photos"),
        (True, {"manifest": None}, "manifest.csv: No such file"),
        (True, {"metrics": "x\n"}, "line 1: the columns must be"),
        (True, {"recipe": RECIPE[:30]}, "recipe.toml names no backbone"),
        (True, {"recipe": "a = ["}, "is not valid TOML"),
        (True, {"recipe": "model = 3\nname = 5\nfit = []\n"}, "names no backbone"),
        (False, {"recipe": None}, "recipe.toml: No such file"),
        (False, {"checkpoint": "PK half"}, "last.ckpt is damaged"),
    ],
    ids=range(9),
)
def test_damaged_runs_are_named_with_the_reason(
    command, make_run, tmp_path, finished, texts, problem
):
    make_run(tmp_path / "run", finished=finished, **texts)
    make_run(tmp_path / "whole")
    rows = listed(command, tmp_path)
    assert rows["run"]["state"] == "damaged"
    assert problem in rows["run"]["problem"]
    assert rows["whole"]["state"] == "finished"
    code, out, err = command("runs", "list", tmp_path)
    assert code == 0
    assert err.startswith("damaged: run: ")
    assert "damaged" in out


def test_foreign_folders_are_no_runs(command, tiny_model, tmp_path):
    (tmp_path / "cookbook").mkdir()
    (tmp_path / "cookbook" / "recipe.toml").write_text("soup = 1\n")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "manifest.csv").write_text("path,label\na.jpg,b\n")
    (tmp_path / "photos" / "model.onnx").write_bytes(tiny_model.read_bytes())
    (tmp_path / "other" / "checkpoints").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path)
    code, out, err = command("runs", "list", tmp_path)
    assert (code, out, err) == (0, "", f"no runs below {tmp_path}\n")
    code, _, err = command("runs", "list", tmp_path / "none")
    assert (code, err) == (2, f"error: there is no folder {tmp_path / 'none'}\n")


def test_pipes_and_links_do_not_hold_it_up(command, make_run, tmp_path):
    run = make_run(tmp_path / "run", finished=False, checkpoint=None)
    for name in ("recipe.toml", "manifest.csv", "metrics.csv"):
        (run / name).unlink()
        os.mkfifo(run / name)
    os.mkfifo(run / "checkpoints" / "last.ckpt")
    os.mkfifo(run / "model.onnx")
    assert listed(command, tmp_path)["run"]["state"] == "damaged"
    for name in ("recipe.toml", "model.onnx"):
        (run / name).unlink()
        (run / name).symlink_to(run / name)
    assert listed(command, tmp_path)["run"]["state"] == "damaged"


def front(text: str) -> dict:
    yaml = pytest.importorskip("yaml")
    _, matter, _ = text.split("---\n", 2)
    return yaml.safe_load(matter)


def test_the_card_of_the_model_in_the_package(command, tmp_path):
    code, out, err = command("runs", "card", "built-in")
    assert (code, err) == (0, "")
    matter = front(out)
    assert matter["pipeline_tag"] == "image-classification"
    assert matter["license"] == "other"
    assert "datasets" not in matter  # none of its four has a name on the hub
    result = matter["model-index"][0]["results"][0]
    assert result["metrics"] == [{"type": "accuracy", "value": pytest.approx(938 / 1025, abs=1e-6)}]
    assert "| accuracy | 91.5% (95%: 89.6% to 93.1%) |" in out
    assert "| trash | 35 | 70.0% | 60.0% | 64.6% |" in out
    path = tmp_path / "card.md"
    for _ in range(2):  # an earlier card may be replaced
        assert command("runs", "card", "built-in", "--out", path) == (0, "", f"wrote {path}\n")
    assert path.read_text() == out
    path.write_text("mine")
    assert command("runs", "card", "built-in", "--out", path)[0] == 2


def test_the_card_of_a_run_knows_photos_and_epochs(command, make_run, make_model, tmp_path):
    run = make_run(tmp_path / "run")
    (run / "model.onnx").write_bytes(make_model(licence="MIT").read_bytes())
    code, out, _ = command("runs", "card", run)
    assert code == 0
    assert front(out)["license"] == "mit"
    assert "metrics" not in front(out)
    assert "Epochs: 3; the lowest validation loss is 1.000, in epoch 1" in out
    assert "| all | 4 |" in out
    assert "No results are stored." in out


def test_hostile_metadata_stays_text(command, make_model):
    names = ("a|b", "<script>x</script>", "- [c](http://x)\n---\n")
    metrics = {
        "split": "\n---\nlicense: mit",
        "num_photos": "many",
        "accuracy": 0.5,
        "nll": 1e300,
        "per_class": {"a|b": {"recall": True, "num_photos": 3}, "<script>x</script>": 5},
        "by_domain": {"x\ny": [], "": {"accuracy": 0.25}},
    }
    model = make_model(
        name="---\n# no: yes", class_names=names, metrics=metrics, licence="mit\ntags: []",
        recipe={"fit": {"epochs|": ["`"]}, "x": {"y": {"z": "<b>"}}}, backbone="`a`",
    )  # fmt: skip
    code, out, _ = command("runs", "card", model)
    assert code == 0
    matter = front(out)
    assert (matter["license"], matter["license_name"]) == ("other", "mit\ntags: []")
    assert matter["model-index"][0]["name"] == "---\n# no: yes"
    assert out.count("\n---\n") == 1
    parser = pytest.importorskip("markdown_it").MarkdownIt("commonmark").enable("table")
    body = out.split("---\n", 2)[2]
    tokens = parser.parse(body)
    assert [t.content.split(">")[0] for t in tokens if t.type == "html_block"] == [
        "<details",
        "</details",
    ]
    kinds = {child.type for token in tokens for child in token.children or ()}
    assert kinds <= {"text", "text_special", "softbreak", "code_inline"}


@pytest.mark.parametrize("metrics", [{}, {"accuracy": "x"}, {"accuracy": 7, "per_class": []}])
def test_strange_metrics_do_no_harm(command, make_model, metrics):
    assert command("runs", "card", make_model(metrics=metrics))[0] == 0


def test_what_has_no_card(command, make_run, photo_folder, tmp_path):
    unfinished = make_run(tmp_path / "run", finished=False)
    for item, code, message in (
        (unfinished, 2, "has no model.onnx; finish its run"),
        (tmp_path / "none", 2, "no model file"),
        (photo_folder / "glass" / "glass1.jpg", 4, "is not a RecycleNet model"),
    ):
        ended, out, err = command("runs", "card", item)
        assert (ended, out) == (code, "")
        assert message in err
