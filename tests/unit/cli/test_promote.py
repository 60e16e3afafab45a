from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recyclenet.core import files
from recyclenet.core.files import atomic_writer
from recyclenet.operations import model_folder
from recyclenet.operations.model_folder import open_models

Run = Callable[..., tuple[int, str, str]]
Make = Callable[..., Path]


@pytest.fixture(scope="module")
def equal(make_model: Make) -> Path:
    """Another file that answers like the tiny model."""
    return make_model(threshold=0.5)


@pytest.fixture(scope="module")
def swapped(make_model: Make) -> Path:
    """A model that takes glass for metal and metal for glass."""
    return make_model(class_names=("metal", "glass", "paper"))


@pytest.fixture
def models(tmp_path: Path, tiny_model: Path) -> Path:
    """A folder with one model."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "waste.onnx").write_bytes(tiny_model.read_bytes())
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def log(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "history" / "log.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_a_model_that_loses_nothing_is_promoted_and_rolled_back(
    command: Run, models: Path, tiny_model: Path, equal: Path, photo_folder: Path
) -> None:
    code, out, err = command("models", "promote", equal, "--to", models, "--data", photo_folder)
    assert code == 0, err
    assert [line.split()[0] for line in out.splitlines()] == [
        *("class", "glass", "metal", "paper", "all")
    ]
    assert "SIGHUP" in err
    assert (models / "waste.onnx").read_bytes() == equal.read_bytes()
    assert [path.name for path in models.glob("*")].count(".lock") == 0
    code, out, err = command("models", "rollback", models, "--json")
    assert code == 0, err
    assert json.loads(out)["action"] == "rollback"
    assert (models / "waste.onnx").read_bytes() == tiny_model.read_bytes()
    assert [row["action"] for row in log(models)] == ["promote", "rollback"]
    assert log(models)[0]["classes"][-1]["label"] == "all"
    before = contents(models)
    code, _, err = command("models", "rollback", models)
    assert code == 2
    assert "nothing to roll back to" in err
    assert contents(models) == before


def test_a_model_that_loses_a_class_is_refused_and_forced_with_the_table(
    command: Run, models: Path, swapped: Path, photo_folder: Path
) -> None:
    before = contents(models)
    words = ("models", "promote", swapped, "--to", models, "--data", photo_folder)
    code, table, err = command(*words)
    assert code == 1
    assert "not promoted: glass, metal, all got worse" in err
    assert contents(models) == before
    assert table.count("worse") == 3
    assert "too few photos to tell" in table  # twelve photos of paper
    code, out, err = command(*words, "--json")
    assert code == 1
    assert json.loads(out)["losses"] == ["glass", "metal", "all"]
    assert not json.loads(out)["promoted"]
    code, out, err = command(*words, "--force")
    assert code == 0, err
    assert out == table
    assert "although glass, metal, all got worse" in err
    assert log(models)[-1]["forced"]


def test_rolling_back_goes_back_step_by_step_and_past_a_rollback(
    command: Run, models: Path, equal: Path, make_model: Make, photo_folder: Path, tiny_model: Path
) -> None:
    third = make_model(threshold=0.6)
    data = ("--data", photo_folder)
    for new in (equal, third):
        assert command("models", "promote", new, "--to", models, *data)[0] == 0
    in_use = models / "waste.onnx"
    for expected in (equal, tiny_model):
        assert command("models", "rollback", models)[0] == 0
        assert in_use.read_bytes() == expected.read_bytes()
    assert command("models", "promote", third, "--to", models, *data)[0] == 0
    assert command("models", "rollback", models)[0] == 0
    assert in_use.read_bytes() == tiny_model.read_bytes()
    assert command("models", "rollback", models)[0] == 2


def test_other_classes_are_compared_and_a_lost_one_is_refused(
    command: Run, models: Path, make_model: Make, photo_folder: Path, tmp_path: Path
) -> None:
    data = ("--data", photo_folder)
    more = make_model(class_names=("glass", "metal", "paper", "shoe"), num_outputs=4)
    code, out, err = command("models", "promote", more, "--to", models, *data)
    assert code == 0, err
    assert "shoe   new class" in out
    fewer = make_model()
    code, out, err = command("models", "promote", fewer, "--to", models, *data)
    assert code == 1
    assert "shoe   class is gone" in out
    assert "not promoted: shoe got worse" in err


def test_a_folder_without_a_model_takes_the_first_one(
    command: Run, tmp_path: Path, tiny_model: Path
) -> None:
    folder = tmp_path / "new" / "models"
    words = ("models", "promote", tiny_model, "--to", folder)
    code, _, err = command(*words, "--name", "waste")
    assert code == 0, err
    assert "nothing was compared" in err
    assert (folder / "waste.onnx").is_file()
    code, _, err = command("models", "rollback", folder)
    assert code == 2
    assert "nothing to roll back to" in err
    code, _, err = command(*words)
    assert code == 2
    assert "is the current model already" in err


def test_what_cannot_be_compared_is_refused(
    command: Run, models: Path, equal: Path, photo_folder: Path, tmp_path: Path
) -> None:
    before = contents(models)
    words = ("models", "promote", equal, "--to", models)
    data = ("--data", photo_folder)
    (tmp_path / "file").touch()
    (tmp_path / "damaged.onnx").write_bytes(equal.read_bytes()[:-3])
    for given, code, reason in (
        (words, 2, "give --data"),
        ((*words, "--split", "test"), 2, "give --data"),
        ((*words, *data, "--name", "wast"), 2, "did you mean 'waste'"),
        ((*words, *data, "--name", "../waste"), 2, "cannot be the name of a model"),
        ((*words[:3], "--to", tmp_path / "file"), 2, "is not a folder"),
        ((*words[:2], tmp_path / "no.onnx", *words[3:], *data), 2, "no model file"),
        ((*words[:2], tmp_path / "damaged.onnx", *words[3:], *data), 4, "truncated"),
    ):
        found, out, err = command(*given)
        assert (found, out) == (code, ""), err
        assert reason in err
        assert len(err.splitlines()) == 1
    assert contents(models) == before
    (models / "other.onnx").write_bytes(equal.read_bytes())
    found, _, err = command(*words, *data)
    assert found == 2
    assert "2 models: other, waste; give --name" in err
    assert command("models", "rollback", tmp_path / "none")[0] == 2
    assert not (tmp_path / "none").exists()


def test_training_photos_of_the_new_run_are_left_out(
    command: Run, models: Path, equal: Path, photo_folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "model.onnx").write_bytes(equal.read_bytes())
    (run / "manifest.csv").write_text(
        f"path,label,split\n{photo_folder}/glass/glass1.jpg,glass,train\n"
        f"{photo_folder}/glass/glass2.jpg,glass,test\n"
    )
    words = ("models", "promote", run, "--to", models, "--data")
    code, out, err = command(*words, photo_folder, "--json")
    assert code == 0, err
    assert "left out: 1 photos" in err
    assert json.loads(out)["classes"][-1]["num_photos"] == 35
    code, _, err = command(*words, run, "--split", "train", "--force")
    assert code == 1
    assert "all 1 photos are training photos" in err


def test_a_damaged_current_model_is_replaced_by_force_only(
    command: Run, models: Path, equal: Path, photo_folder: Path
) -> None:
    (models / "waste.onnx").write_bytes(b"damaged")
    words = ("models", "promote", equal, "--to", models, "--data", photo_folder)
    code, _, err = command(*words)
    assert code == 4
    assert "--force" in err
    code, _, err = command(*words, "--force")
    assert code == 0, err
    assert log(models)[-1]["forced"]
    before = contents(models)
    assert b"damaged" in before.values()  # it is kept, but never put back
    code, _, err = command("models", "rollback", models)
    assert code == 4
    assert contents(models) == before


def test_links_are_replaced_and_what_they_lead_to_stays(
    command: Run, models: Path, tiny_model: Path, equal: Path, photo_folder: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.onnx"
    (models / "waste.onnx").rename(mine)
    (models / "waste.onnx").symlink_to(mine)
    (tmp_path / "link").symlink_to(models)
    words = ("models", "promote", equal, "--to", tmp_path / "link", "--data", photo_folder)
    code, _, err = command(*words)
    assert code == 0, err
    assert mine.read_bytes() == tiny_model.read_bytes()
    assert not (models / "waste.onnx").is_symlink()
    assert command("models", "rollback", models)[0] == 0
    assert (models / "waste.onnx").read_bytes() == tiny_model.read_bytes()
    (models / "waste.onnx").unlink()
    (models / "waste.onnx").symlink_to("nowhere")
    code, _, err = command(*words)
    assert code == 2
    assert (models / "waste.onnx").is_symlink()


def test_a_damaged_history_is_named_and_changes_nothing(
    command: Run, models: Path, equal: Path, photo_folder: Path
) -> None:
    assert command("models", "promote", equal, "--to", models, "--data", photo_folder)[0] == 0
    (kept,) = (models / "history").glob("*.onnx")
    whole = kept.read_bytes()
    for content, expected in ((whole[:-5], 4), (equal.read_bytes(), 4), (None, 1)):
        if content is None:
            kept.unlink()
        else:
            kept.write_bytes(content)
        code, _, err = command("models", "rollback", models)
        assert code == expected
        assert kept.name in err
        assert (models / "waste.onnx").read_bytes() == equal.read_bytes()
    kept.write_bytes(whole)
    table = models / "history" / "log.jsonl"
    good = table.read_text()
    for bad in (
        "{",
        '{"a": 1}\n',
        good.replace('"promote"', '"burn"'),
        good.replace("waste", ".."),
    ):
        table.write_text(bad)
        code, _, err = command("models", "rollback", models)
        assert code == 1
        assert "line 1 is damaged" in err
    table.write_text(good)
    assert command("models", "rollback", models)[0] == 0


def test_two_at_once_do_not_mix(
    command: Run, models: Path, equal: Path, photo_folder: Path
) -> None:
    before = contents(models)
    with open_models(models):
        for words in (
            ("models", "promote", equal, "--to", models, "--data", photo_folder),
            ("models", "rollback", models),
        ):
            code, _, err = command(*words)
            assert code == 1
            assert "is running in" in err
    assert contents(models) == before


@pytest.mark.parametrize("room", [0, 1, 2])
def test_a_full_disk_leaves_the_model_in_use(
    command: Run,
    models: Path,
    tiny_model: Path,
    equal: Path,
    photo_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    room: int,
) -> None:
    """The kept model, the log and the model are three files; so many of them can be written."""
    written = []

    def limited(path: Path, **options: Any) -> Any:
        written.append(path)
        if len(written) > room:
            raise OSError(28, "No space left on device")
        return real(path)

    real = os.fsync
    monkeypatch.setattr(files.os, "fsync", limited)
    words = ("models", "promote", equal, "--to", models, "--data", photo_folder)
    code, _, err = command(*words)
    assert code == 1
    assert "No space left" in err
    assert (models / "waste.onnx").read_bytes() == tiny_model.read_bytes()
    assert not list(models.rglob("*.part"))
    monkeypatch.setattr(files.os, "fsync", real)
    code, _, err = command("models", "rollback", models)
    assert code == 2  # what was only planned does not count
    assert command(*words)[0] == 0
    assert len(log(models)) == 1
    assert command("models", "rollback", models)[0] == 0
    assert (models / "waste.onnx").read_bytes() == tiny_model.read_bytes()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is closed to root")
def test_a_read_only_folder_is_refused(
    command: Run, models: Path, equal: Path, photo_folder: Path
) -> None:
    models.chmod(0o500)
    try:
        code, _, err = command("models", "promote", equal, "--to", models, "--data", photo_folder)
    finally:
        models.chmod(0o700)
    assert code == 1
    assert "cannot write to" in err


KILLED = """
import os, signal, sys
from pathlib import Path
import recyclenet.core.files as files
from recyclenet.operations.model_folder import PROMOTE, open_models
left = int(sys.argv[3])
real = os.fsync
def killing(number):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    real(number)
files.os.fsync = killing
with open_models(Path(sys.argv[1])) as folder:
    folder.replace("waste", Path(sys.argv[2]).read_bytes(), PROMOTE)
"""


@pytest.mark.parametrize("writes", [0, 1, 2, 3])
def test_killed_at_any_point_the_folder_stays_usable(
    command: Run, models: Path, tiny_model: Path, equal: Path, photo_folder: Path, writes: int
) -> None:
    words = [sys.executable, "-c", KILLED, os.fspath(models), os.fspath(equal), str(writes)]
    code = subprocess.run(words, check=False, timeout=60).returncode
    assert code == (0 if writes == 3 else -signal.SIGKILL)
    in_use = models / "waste.onnx"
    assert in_use.read_bytes() == (equal if writes == 3 else tiny_model).read_bytes()
    assert command("models", "rollback", models)[0] == (0 if writes == 3 else 2)
    promote = ("models", "promote", equal, "--to", models, "--data", photo_folder)
    assert command(*promote)[0] == 0
    assert command("models", "rollback", models)[0] == 0
    assert in_use.read_bytes() == tiny_model.read_bytes()


def test_histories_of_several_models_do_not_mix(
    models: Path, tiny_model: Path, equal: Path, swapped: Path
) -> None:
    (models / "other.onnx").write_bytes(swapped.read_bytes())
    with open_models(models) as folder:
        folder.replace("waste", equal.read_bytes(), model_folder.PROMOTE)
        folder.replace("other", equal.read_bytes(), model_folder.PROMOTE)
        assert folder.rollback("waste").sha256 != folder.rollback("other").sha256
    assert (models / "waste.onnx").read_bytes() == tiny_model.read_bytes()
    assert (models / "other.onnx").read_bytes() == swapped.read_bytes()
    assert [row["name"] for row in log(models)] == ["waste", "other", "waste", "other"]


def test_a_model_replaced_by_hand_is_kept_too(models: Path, equal: Path, swapped: Path) -> None:
    with open_models(models) as folder:
        folder.replace("waste", equal.read_bytes(), model_folder.PROMOTE)
    with atomic_writer(models / "waste.onnx") as file:
        file.write(swapped.read_bytes())
    with open_models(models) as folder:
        folder.rollback("waste")
    assert swapped.read_bytes() in contents(models / "history").values()
