"""The commands that get photos in order: each takes what the one before has written."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., tuple[int, str, str]]
SAMPLES = Path(__file__).parents[3] / "samples"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def photos(photo_folder: Path, tmp_path: Path) -> Path:
    place = tmp_path / "photos"
    shutil.copytree(photo_folder, place)
    return place


def test_merge_and_split_several_sources(command: Command, photos: Path, tmp_path: Path) -> None:
    web = tmp_path / "web"
    shutil.copytree(photos, web)
    (web / "metal").rename(web / "can")
    (web / "paper" / "broken.jpg").write_bytes(b"x")
    out = tmp_path / "out" / "merged.csv"
    code, printed, err = command(
        "data", "merge", photos, f"abroad={web}", "--map", "abroad:can=metal,paper=_", "--out", out
    )
    assert code == 3
    assert [line.split() for line in printed.splitlines()] == [
        ["class", "abroad", "photos", "all"],
        ["glass", "12", "12", "24"],
        ["metal", "12", "12", "24"],
        ["paper", "0", "12", "12"],
        ["all", "24", "36", "60"],
    ]
    assert "broken.jpg" in err
    assert "left out: 12 photos of abroad labelled paper (label map)" in err
    assert "24 pairs of copies across domains share a group" in err
    code, _, err = command("data", "split", out, "--out", tmp_path / "split.csv")
    assert code == 0, err
    written = rows(tmp_path / "split.csv")
    assert {row["domain"] for row in written} == {"photos", "abroad"}
    assert command("data", "check-leaks", tmp_path / "split.csv")[0] == 0


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["photos", "elsewhere/photos"], "there is no folder or manifest elsewhere/photos"),
        (["photos", "=photos"], "a data set must be SOURCE or NAME=SOURCE, not '=photos'"),
        (["photos", "./photos"], "2 data sets are called 'photos'; name them: NAME=FOLDER"),
        (["photos", "--map", "glas=x"], "names 'glas', but no photo has this label: did you mean"),
        (["photos", "--map", "glass"], "must look like OLD=NEW,OLD=_ or DOMAIN:OLD=NEW"),
    ],
)
def test_a_wrong_merge_is_refused_in_one_line(
    command: Command,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    reason: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = command("data", "merge", *words, "--out", "merged.csv")
    assert (code, out) == (2, "")
    assert reason in err
    assert len(err.splitlines()) == 1
    assert not Path("merged.csv").exists()


def test_scan_split_balance_and_augment(command: Command, photos: Path, tmp_path: Path) -> None:
    first = next((photos / "glass").iterdir())
    shutil.copy(first, photos / "glass" / "copy.jpg")
    code, out, err = command("data", "scan", photos, "--out", tmp_path / "scan.csv")
    assert code == 0, err
    assert "37 photos of 3 classes; 2 of them in 1 groups of copies; 0 left out" in out

    code, out, err = command(
        "data", "split", tmp_path / "scan.csv", "--ratios", "3:1:1", "--out", tmp_path / "split.csv"
    )
    assert code == 0, err
    assert out.splitlines()[0].split() == ["class", "train", "val", "test"]
    assert err == f"wrote 37 rows to {tmp_path / 'split.csv'}\n"
    code, _, err = command("data", "check-leaks", tmp_path / "split.csv")
    assert code == 0
    assert "0 pairs" in err

    code, out, err = command(
        "data", "balance", tmp_path / "split.csv", "--cap", 5, "--out", tmp_path / "balanced.csv"
    )
    assert code == 0, err
    assert sum(row["split"] == "train" for row in rows(tmp_path / "balanced.csv")) == 15

    code, out, err = command(
        "data", "augment", tmp_path / "balanced.csv", "--copies", tmp_path / "copies",
        "--groups", "flips", "--probability", "high", "--out", tmp_path / "more.csv",
    )  # fmt: skip
    assert code == 0, err
    assert sum(row["split"] == "train" for row in rows(tmp_path / "more.csv")) == 30
    assert len(list((tmp_path / "copies").rglob("*.jpg"))) == 15


def test_photos_of_one_object_get_one_group(command: Command, tmp_path: Path) -> None:
    from PIL import Image

    photos = tmp_path / "photos"
    photos.mkdir()
    for path in SAMPLES.glob("*.jpg"):
        shutil.copy(path, photos)
    with Image.open(photos / "milk_jug.jpg") as image:
        width, height = image.size
        moved = image.crop((width // 8, height // 8, width, height))
    moved.save(photos / "moved.jpg")
    table = tmp_path / "labels.csv"
    names = sorted(path.name for path in photos.iterdir())
    table.write_text("path,label\n" + "".join(f"photos/{name},thing\n" for name in names))
    scan = ("data", "scan", table, "--out", tmp_path / "scan.csv")
    _, out, _ = command(*scan)
    assert "in 0 groups of copies" in out
    code, out, err = command(*scan, "--objects")
    assert code == 0, err
    assert "2 of them in 1 groups of copies or of one object" in out
    grouped = [Path(row["path"]).name for row in rows(tmp_path / "scan.csv") if row["group"]]
    assert grouped == ["milk_jug.jpg", "moved.jpg"]


def test_inspect_counts_and_draws(command: Command, photos: Path, tmp_path: Path) -> None:
    code, out, err = command("data", "inspect", photos, "--out", tmp_path / "page.html")
    assert code == 0, err
    assert out.splitlines()[4].split() == ["all", "36"]
    assert (tmp_path / "page.html").is_file()
    code, out, err = command("data", "inspect", photos, "--json")
    assert json.loads(out)["num_pixels"] == 36 * 96 * 72


def test_collect_says_what_it_would_search(command: Command, tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("可回收物_鼠标\nglass,glass bottle,7\n", encoding="utf-8")
    options = ["--classes", tmp_path / "classes.txt", "--out", tmp_path / "photos", "--dry-run"]
    code, out, err = command("data", "collect", *options)
    assert code == 0, err
    assert [line.split() for line in out.splitlines()[1:]] == [
        ["可回收物_鼠标", "鼠标", "200"],
        ["glass", "glass", "bottle", "7"],
    ]
    assert not (tmp_path / "photos").exists()


def test_a_leak_is_named_and_fails(command: Command, photos: Path, tmp_path: Path) -> None:
    for split, label in (("train", "glass"), ("test", "metal")):
        (tmp_path / "parts" / split).mkdir(parents=True)
        (photos / label).rename(tmp_path / "parts" / split / label)
    shutil.copytree(tmp_path / "parts/test/metal", tmp_path / "parts/train/metal")
    code, out, err = command("data", "check-leaks", tmp_path / "parts", "--json")
    assert code == 1
    assert "12 pairs" in err
    row = json.loads(out.splitlines()[0])
    assert sorted(row["splits"]) == ["test", "train"]
    code, _, err = command("data", "check-leaks", photos)
    assert code == 2
    assert "no splits" in err


def test_clean_takes_away_and_undo_brings_back(
    command: Command, photos: Path, tmp_path: Path
) -> None:
    (photos / "glass" / "broken.jpg").write_bytes(b"nothing")
    shutil.copy(next((photos / "metal").iterdir()), photos / "metal" / "z copy.jpg")
    before = {path: path.read_bytes() for path in photos.rglob("*.jpg")}
    options = ["--report", tmp_path / "report", "--out", tmp_path / "clean.csv"]
    options += ["--quarantine", tmp_path / "away", "--take", "unreadable,duplicate"]
    code, out, err = command("data", "clean", photos, *options, "--apply", "--dry-run")
    assert code == 0, err
    assert {path: path.read_bytes() for path in photos.rglob("*.jpg")} == before
    assert not (tmp_path / "away").exists()
    assert not (tmp_path / "report").exists()
    assert not (tmp_path / "clean.csv").exists()

    code, out, err = command("data", "clean", photos, *options, "--apply")
    assert code == 0, err
    assert "2 photos to remove, 36 to keep" in out
    assert {path.name for path in before if not path.exists()} == {"broken.jpg", "z copy.jpg"}
    assert len(rows(tmp_path / "clean.csv")) == 36
    assert (tmp_path / "report" / "duplicate.png").is_file()

    code, out, _ = command("data", "undo", tmp_path / "away", "--dry-run")
    assert {line.split("\t")[1] for line in out.splitlines()} == {"unreadable", "duplicate"}
    code, out, err = command("data", "undo", tmp_path / "away")
    assert code == 0, err
    assert {path: path.read_bytes() for path in photos.rglob("*.jpg")} == before


def test_clean_finds_wrong_labels(command: Command, photos: Path, tmp_path: Path) -> None:
    table = tmp_path / "predictions.csv"
    lines = ["path,target,logit_glass,logit_metal,logit_paper"]
    for target, label in enumerate(("glass", "metal", "paper")):
        for number, path in enumerate(sorted((photos / label).iterdir())):
            says = (target + (number == 0)) % 3
            lines.append(
                f"{path},{target}," + ",".join("5" if i == says else "0" for i in range(3))
            )
    table.write_text("\n".join(lines) + "\n")
    code, out, err = command("data", "clean", photos, "--predictions", table, "--json", "--dry-run")
    assert code == 0, err
    found = [json.loads(line) for line in out.splitlines()]
    wrong = [row for row in found if row["kind"] == "label"]
    assert sorted(row["label"] for row in wrong) == ["glass", "metal", "paper"]
    assert not any(row["goes"] for row in wrong)
    for text, message in (
        ("path,target\n", "not a prediction table"),
        ("path,target,logit_glass\nelsewhere.jpg,0,1\n", "other photos"),
    ):
        table.write_text(text)
        code, _, err = command("data", "clean", photos, "--predictions", table)
        assert code == 1
        assert message in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["split", "{photos}", "--ratios", "1"], "ratios must look like"),
        (["split", "{photos}"], "no output given"),
        (["split", "{photos}", "--list", "x"], "SPLIT=FILE"),
        (["split", "{photos}", "--list", "train=x", "--legacy"], "--legacy has no effect"),
        (["split", "{photos}", "--list", "train=x", "--ratios", "1/1/1"], "--ratios has no"),
        (["split", "{photos}", "--legacy", "--seed", "1"], "--seed has no effect"),
        (["collect", "--out", "x", "--urls", "x", "--pages", "2"], "--pages has no effect"),
        (["clean", "{photos}", "--quarantine", "x"], "given together"),
        (["clean", "{photos}", "--take", "label"], "--predictions"),
        (["balance", "{photos}"], "no balancing method"),
        (["clean", "{photos}", "--take", "drak"], "did you mean 'dark'"),
        (["clean", "{photos}", "--apply"], "--quarantine"),
        (["augment", "{photos}", "--groups", "flip"], "did you mean 'flips'"),
        (["augment", "{photos}", "--probability", "often"], "known"),
        (["augment", "{photos}"], "no output given"),
        (["scan", "{photos}", "--min-similarity", ".9"], "has no effect without --objects"),
        (["scan", "nowhere"], "no folder or manifest"),
        (["collect", "--out", "{photos}"], "no source given"),
        (["collect", "--out", "{photos}", "--urls", "none.csv"], "cannot read none.csv"),
        (["collect", "--out", "x", "--classes", "x", "--engine", "bnig"], "did you mean 'bing'"),
        (["undo", "{photos}"], "not a quarantine"),
    ],
)
def test_mistakes_end_in_one_line(
    command: Command, photos: Path, words: list[str], message: str
) -> None:
    code, _, err = command("data", *(word.format(photos=photos) for word in words))
    assert code == 2
    assert message in err.splitlines()[-1]


def test_the_table_that_is_read_is_never_overwritten(
    command: Command, photos: Path, tmp_path: Path
) -> None:
    table = tmp_path / "scan.csv"
    command("data", "scan", photos, "--out", table)
    before = table.read_bytes()
    code, _, err = command("data", "split", table, "--out", table)
    assert code == 2
    assert "is also an input" in err
    assert table.read_bytes() == before
