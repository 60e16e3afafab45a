from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import photo
from feedback import give
from recyclenet.data.dataset import load_dataset

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """Two photos of glass, one of metal, one record without a photo."""
    folder = tmp_path / "feedback"
    give(folder, "glass", photo("glass", 901), model="tiny", model_sha256="ab" * 32)
    give(folder, "glass", photo("glass", 902))
    give(folder, "metal", photo("metal", 903))
    give(folder, "metal", None)
    return folder


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows(out: Path) -> dict[str, dict[str, str]]:
    with (out / "feedback.csv").open(newline="") as file:
        return {row["id"][-1]: row for row in csv.DictReader(file)}


def test_feedback_becomes_a_data_set_for_training(
    command: Run, stored: Path, tiny_model: Path, tmp_path: Path
) -> None:
    out, before = tmp_path / "new" / "import", contents(stored)
    words = ("data", "import-feedback", stored, "--model", tiny_model, "--out")
    code, printed, err = command(*words, out)
    assert code == 0, err
    assert "glass       2" in printed
    assert "review.html" in err
    assert contents(stored) == before
    found = load_dataset(out)
    assert found.counts == {"glass": 2, "metal": 1}
    assert {(s.split, s.domain) for s in found} == {("train", "feedback")}
    for sample in found:
        assert sample.path == out / sample.label / sample.path.name
        assert sample.path.read_bytes() == before[Path(sample.source)]
    table = rows(out)
    assert table["0"]["outcome"] == "imported"
    assert (table["0"]["predicted"], table["0"]["model"]) == ("paper", "tiny")
    assert table["0"]["date"] == "2023-11-14T22:13:20"
    assert table["3"]["outcome"] == "no photo"
    # Again: never over an earlier one.
    code, _, err = command(*words, out)
    assert code == 2
    assert "choose a new folder" in err
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["import"]


def test_the_page_shows_every_photo_and_its_marks_reach_the_manifest(
    command: Run, stored: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    give(stored, "glass", photo("glass", 904), predicted="<script>alert(1)</script>")
    code, _, err = command(
        "data", "import-feedback", "feedback", "--model", tiny_model, "--out", "import"
    )
    assert code == 0, err
    page = Path("import/review.html").read_text()
    assert page.count("<article") == 4
    assert "<script>alert" not in page
    marks = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    assert marks["classes"] == ["glass", "metal", "paper"]
    first, second = marks["photos"][:2]
    Path("marks.csv").write_text(
        f"path,label,action\n{first['path']},metal,relabel\n{second['path']},glass,remove\n"
    )
    code, _, err = command(
        *("data", "clean", "import", "--marks", "marks.csv", "--take", "marked"),
        *("--out", "reviewed.csv"),
    )
    assert code == 0, err
    reviewed = load_dataset("reviewed.csv")
    assert reviewed.counts == {"glass": 1, "metal": 2}
    assert reviewed.domains == ("feedback",)


def test_damaged_and_hostile_feedback_is_named_and_left_out(
    command: Run, stored: Path, tiny_model: Path, tmp_path: Path
) -> None:
    for label in ("../../up", "shoe", "glass ", "\u202eglass", "=1+1"):
        give(stored, label, photo("glass", 905))
    cut = give(stored, "glass", photo("glass", 906))
    (stored / f"{cut}.jpg").write_bytes((stored / f"{cut}.jpg").read_bytes()[:900])
    gone = give(stored, "glass", photo("glass", 907))
    (stored / f"{gone}.jpg").unlink()
    link = give(stored, "glass", photo("glass", 908))
    (stored / f"{link}.jpg").unlink()
    (stored / f"{link}.jpg").symlink_to(tmp_path / "secret")
    photo("glass", 909).save(tmp_path / "secret", "JPEG")
    (stored / f"{'e' * 32}.json").write_text("{")
    (stored / "notes.txt").write_text("mine")
    out = tmp_path / "import"
    code, printed, err = command(
        "data", "import-feedback", stored, "--model", tiny_model, "--out", out, "--json"
    )
    assert code == 3
    found = json.loads(printed)
    assert found["classes"] == {"glass": 2, "metal": 1}
    # A label that runs backwards is no text of the service.
    assert found["outcomes"]["unknown label"] == 4
    assert found["outcomes"]["damaged"] == 5
    assert "'shoe': known: glass, metal, paper" in err
    assert f"{gone}.jpg: No such file" in err
    assert "ignored: 1 files" in err
    assert sorted(path.name for path in out.iterdir()) == [
        *("feedback.csv", "glass", "manifest.csv", "metal", "review.html")
    ]
    assert {path.name for path in tmp_path.iterdir()} == {"feedback", "import", "secret"}


def test_a_new_class_is_imported_only_when_asked_for(
    command: Run, stored: Path, tiny_model: Path, tmp_path: Path
) -> None:
    give(stored, "shoe", photo("glass", 910))
    words = ("data", "import-feedback", stored, "--model", tiny_model, "--out", tmp_path / "out")
    for label, reason in (("../up", "name of a class folder"), ("Glass", "use that spelling")):
        code, _, err = command(*words, "--new-class", label)
        assert code == 2
        assert reason in err
    code, _, err = command(*words, "--new-class", "shoe")
    assert code == 0, err
    assert load_dataset(tmp_path / "out").counts == {"glass": 2, "metal": 1, "shoe": 1}


def test_photos_that_a_data_set_has_are_left_out(
    command: Run, stored: Path, tiny_model: Path, photo_folder: Path, tmp_path: Path
) -> None:
    give(stored, "metal", photo("glass", 100).resize((192, 144)))  # is glass1.jpg, enlarged
    out = tmp_path / "out"
    code, _, err = command(
        *("data", "import-feedback", stored, "--model", tiny_model, "--out", out),
        *("--data", photo_folder, "--max-share", "0.5"),
    )
    assert code == 0, err
    table = rows(out)
    assert table["4"]["outcome"] == "known"
    assert "glass1.jpg (glass)" in table["4"]["reason"]
    assert load_dataset(out).counts == {"glass": 2, "metal": 1}


def test_without_usable_feedback_nothing_is_written(
    command: Run, tiny_model: Path, tmp_path: Path
) -> None:
    give(tmp_path / "feedback", "glass", None)
    give(tmp_path / "feedback", "shoe", photo("glass", 911))
    code, _, err = command(
        *("data", "import-feedback", tmp_path / "feedback", "--model", tiny_model),
        *("--out", tmp_path / "deep" / "out"),
    )
    assert code == 1
    assert "no photo 1, unknown label 1" in err
    assert list((tmp_path / "deep").iterdir()) == []


KILLED = """
import sys
import recyclenet.operations.import_feedback as module
kept = module.write_table
def slow(*given):
    print("writing", flush=True)
    import time
    time.sleep(60)
module.write_table = slow
sys.argv = ["recyclenet", *sys.argv[1:]]
from recyclenet.cli.main import main
main()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_import_killed_half_way_leaves_no_data_set(
    stored: Path, tiny_model: Path, tmp_path: Path, number: int
) -> None:
    out = tmp_path / "out"
    words = ("data", "import-feedback", stored, "--model", tiny_model, "--out", out)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, *map(os.fspath, words)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"writing\n"
    process.send_signal(number)
    process.communicate(timeout=30)
    left = {path.name for path in tmp_path.iterdir()} - {"feedback"}
    if number == signal.SIGTERM:
        assert left == set()
    else:
        assert all(name.endswith(".part") for name in left)


def test_an_import_beside_a_writing_service_sees_whole_records_only(
    command: Run, stored: Path, tiny_model: Path, tmp_path: Path
) -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[2]); from pathlib import Path\n"
        "from recyclenet.core.files import write_bytes\n"
        "import io, json, uuid, itertools; from conftest import photo\n"
        "for n in itertools.count():\n"
        "    name = uuid.uuid4().hex; picture = io.BytesIO()\n"
        "    photo('glass', 2000 + n).save(picture, 'JPEG')\n"
        "    write_bytes(Path(sys.argv[1], name + '.jpg'), picture.getvalue())\n"
        "    row = dict(id=name, time=1e9 + n, photo=True, label='glass')\n"
        "    write_bytes(Path(sys.argv[1], name + '.json'), json.dumps(row).encode())\n"
    )
    tests = Path(__file__).resolve().parents[2]
    services = [
        subprocess.Popen([sys.executable, "-c", program, os.fspath(stored), os.fspath(tests)])
        for _ in range(2)
    ]
    try:
        while len(list(stored.iterdir())) < 12:
            time.sleep(0.05)
        code, printed, err = command(
            *("data", "import-feedback", stored, "--model", tiny_model, "--json"),
            *("--out", tmp_path / "out", "--max-per-class", 10_000),
        )
    finally:
        for service in services:
            service.kill()
            service.wait()
    assert code == 0, err
    assert json.loads(printed)["outcomes"]["damaged"] == 0
