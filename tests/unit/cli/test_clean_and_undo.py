"""`data clean --apply` and `data undo` on the command line: no photo is ever lost."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from recyclenet.core.files import write_table
from recyclenet.data.manifest import read_manifest

Command = Callable[..., tuple[int, str, str]]


def tree(root: Path) -> dict[str, tuple[object, int]]:
    return {
        str(path.relative_to(root)): (
            os.readlink(path) if path.is_symlink() else path.read_bytes(),  # noqa: PTH115
            path.lstat().st_mtime_ns,
        )
        for path in root.rglob("*")
        if path.is_symlink() or path.is_file()
    }


@pytest.fixture
def photos(photo_folder: Path, tmp_path: Path) -> Path:
    """Three copies and a broken photo among good ones."""
    place = tmp_path / "photos"
    shutil.copytree(photo_folder, place)
    for number in range(1, 4):
        shutil.copy2(place / "metal" / f"metal{number}.jpg", place / "metal" / f"z{number}.jpg")
    (place / "glass" / "broken.jpg").write_bytes(b"nothing")
    for number, path in enumerate(sorted(place.rglob("*.jpg"))):
        os.utime(path, ns=(10**18, 10**18 + number))
    return place


@pytest.fixture
def annex(photos: Path) -> Path:
    """The same photos, each a link into a store, as DVC and git-annex lay them out."""
    store = photos.parent / ".annex" / "objects"
    store.mkdir(parents=True)
    for path in sorted(photos.rglob("*.jpg")):
        path.rename(store / path.name)
        path.symlink_to(f"../../.annex/objects/{path.name}")
        os.utime(path, ns=(10**18, 10**18), follow_symlinks=False)
    return photos


@pytest.fixture
def clean(command: Command, tmp_path: Path) -> Command:
    def run(dataset: Path, *options: object) -> tuple[int, str, str]:
        take = ("--take", "unreadable,duplicate,near_duplicate")
        return command(
            "data", "clean", dataset, *take, "--apply", "--quarantine", tmp_path / "away", *options
        )

    return run


@pytest.fixture
def table(command: Command, photos: Path, tmp_path: Path) -> Path:
    (photos / "glass" / "broken.jpg").unlink()
    code, _, err = command("data", "scan", photos, "--out", tmp_path / "scan.csv")
    assert code == 0, err
    return tmp_path / "scan.csv"


def test_links_come_back_as_the_same_links(command, clean, annex, tmp_path):
    (annex.parent / ".annex" / "objects" / "broken.jpg").unlink()
    before = tree(tmp_path)
    code, out, err = clean(annex)
    assert (code, err) == (0, "")
    assert "moved 4 photos" in out
    assert not (annex / "metal" / "z1.jpg").is_symlink()
    code, out, err = command("data", "undo", tmp_path / "away")
    assert (code, out, err) == (0, "moved 4 photos back\n", "")
    assert tree(tmp_path) == before


def test_undo_names_what_is_missing_and_keeps_the_journal(command, clean, photos, tmp_path):
    clean(photos)
    gone = tmp_path / "away" / "000001.jpg"
    content = gone.read_bytes()
    gone.unlink()
    for moved in (3, 0):
        code, out, err = command("data", "undo", tmp_path / "away")
        assert (code, out) == (3, f"moved {moved} photos back\n")
        assert len(err.splitlines()) == 1
        assert "z1.jpg: it is neither there nor in" in err
    gone.write_bytes(content)
    assert command("data", "undo", tmp_path / "away")[0] == 0
    assert not (tmp_path / "away").exists()


def test_two_cleans_into_one_folder(command, clean, photos, tmp_path):
    before = tree(photos)
    assert clean(photos, "--take", "unreadable")[0] == 0
    assert clean(photos)[0] == 0
    code, out, _ = command("data", "undo", tmp_path / "away")
    assert (code, out) == (0, "moved 4 photos back\n")
    assert tree(photos) == before


def test_files_of_the_user_are_no_quarantine(clean, photos, tmp_path):
    (tmp_path / "away").mkdir()
    (tmp_path / "away" / "000000.jpg").write_text("mine")
    before = tree(tmp_path)
    code, _, err = clean(photos)
    assert code == 2
    assert "holds other files" in err
    assert tree(tmp_path) == before


def test_a_stale_scan_moves_nothing_that_changed(command, clean, table, photos, tmp_path):
    other = (photos / "glass" / "glass1.jpg").read_bytes()
    (photos / "metal" / "z1.jpg").write_bytes(other)  # a copy no more
    (photos / "metal" / "metal2.jpg").write_bytes(other)  # the one that stays is another one
    before = tree(photos)
    code, out, err = clean(table)
    assert code == 3
    assert "moved 1 photos" in out
    assert [line for line in err.splitlines() if "changed since the scan" in line] == [
        f"left out: {photos / 'metal' / name} changed since the scan"
        for name in ("metal2.jpg", "z1.jpg")
    ]
    assert tree(photos).items() < before.items()
    assert command("data", "undo", tmp_path / "away")[0] == 0
    assert tree(photos) == before


def test_the_only_copy_stays_when_the_other_has_gone(clean, table, photos):
    for number in range(1, 4):
        (photos / "metal" / f"metal{number}.jpg").unlink()
    before = tree(photos)
    code, out, err = clean(table)
    assert code == 3
    assert "moved 0 photos" in out
    assert "metal1.jpg cannot be read" in err
    assert tree(photos) == before


def test_nothing_is_as_it_was_scanned(clean, table, photos):
    shutil.rmtree(photos)
    code, _, err = clean(table)
    assert code == 1
    assert "scan them again" in err.splitlines()[-1]


@pytest.mark.parametrize("name", ["b/../glass/glass1.jpg", "b/glass1.jpg", "link.jpg"])
def test_one_file_under_two_names_is_no_copy(clean, command, photos, tmp_path, name):
    (photos / "b").symlink_to("glass")
    (photos / "link.jpg").symlink_to("glass/glass1.jpg")
    listed = [name, "glass/glass1.jpg", "metal/metal1.jpg", "metal/z1.jpg"]
    table = photos / "labels.csv"
    table.write_text("path,label\n" + "".join(f"{path},thing\n" for path in listed))
    before = tree(tmp_path)
    code, out, err = clean(table)
    assert code == 3
    assert "is listed twice" in err
    assert "moved 1 photos" in out
    assert (photos / "glass" / "glass1.jpg").exists()
    assert (photos / "link.jpg").exists()
    assert command("data", "undo", tmp_path / "away")[0] == 0
    assert {k: v for k, v in tree(tmp_path).items() if k in before} == before
    code, out, err = command("data", "scan", table, "--out", tmp_path / "scan.csv")
    assert code == 3
    assert "3 photos" in out
    assert "is listed twice" in err


def test_a_link_in_a_class_folder_is_no_copy_of_its_photo(clean, photos):
    (photos / "glass" / "aaa.jpg").symlink_to("glass1.jpg")
    (photos / "paper" / "aaa.jpg").symlink_to("../glass/glass2.jpg")
    code, _, err = clean(photos, "--take", "duplicate,two_labels")
    assert code == 3
    assert "glass/aaa.jpg is listed twice" in err
    assert "too, with the label glass" in err
    assert (photos / "glass" / "aaa.jpg").exists()
    assert (photos / "paper" / "aaa.jpg").exists()


def test_copies_in_two_classes_are_found_behind_links(clean, annex):
    (annex / "paper" / "copy.jpg").symlink_to("../../.annex/objects/glass1.jpg")
    code, _, err = clean(annex, "--take", "two_labels")
    assert (code, err) == (0, "")
    assert not (annex / "paper" / "copy.jpg").is_symlink()
    assert not (annex / "glass" / "glass1.jpg").is_symlink()


def test_repeated_rows_for_training_stay(command, table, tmp_path):
    split, balanced = tmp_path / "split.csv", tmp_path / "balanced.csv"
    assert command("data", "split", table, "--out", split)[0] == 0
    assert command("data", "balance", split, "--oversample", 30, "--out", balanced)[0] == 0
    with balanced.open(newline="") as file:
        assert len([row for row in csv.DictReader(file) if row["split"] == "train"]) == 90
    code, _, err = command("data", "check-leaks", balanced)
    assert (code, err) == (0, "0 pairs of photos of one group are in different splits\n")


def test_a_leak_through_a_link_is_still_a_leak(command, photos, tmp_path):
    for split in ("train", "test"):
        (tmp_path / "parts" / split / "glass").mkdir(parents=True)
    shutil.copy(photos / "glass" / "glass1.jpg", tmp_path / "parts/train/glass/a.jpg")
    (tmp_path / "parts/test/glass/b.jpg").symlink_to("../../train/glass/a.jpg")
    assert command("data", "check-leaks", tmp_path / "parts")[0] == 1


@pytest.mark.parametrize("inside", ["away", "glass/away"])
def test_a_quarantine_in_the_dataset_is_never_read_as_photos(command, photos, inside):
    before = tree(photos)
    code, _, err = command(
        "data", "clean", photos, "--take", "duplicate", "--apply", "--quarantine", photos / inside
    )
    assert code == 0, err
    code, out, err = command("data", "scan", photos, "--dry-run")
    assert "36 photos of 3 classes" in out
    assert command("data", "undo", photos / inside)[0] == 0
    assert tree(photos) == before


def test_a_class_folder_is_no_quarantine(command, photos):
    before = tree(photos)
    code, _, err = command(
        "data", "clean", photos, "--take", "duplicate", "--apply", "--quarantine", photos / "metal"
    )
    assert code == 2
    assert "holds other files" in err
    assert tree(photos) == before


def test_a_second_clean_waits_for_nobody(clean, photos, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    (tmp_path / "away").mkdir()
    with (tmp_path / "away" / ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = tree(photos)
        code, out, err = clean(photos)
    assert code == 1
    assert "is running in" in err
    assert len(err.splitlines()) == 1
    assert out == ""
    assert tree(photos) == before


def test_a_clean_that_moves_nothing_leaves_no_folder(clean, photo_folder, tmp_path):
    code, out, err = clean(photo_folder)
    assert (code, err) == (0, "")
    assert "moved 0 photos\n" in out
    assert not (tmp_path / "away").exists()


def test_marks_of_a_page_relabel_and_remove(command, photos, tmp_path):
    marks = [
        (photos / "glass" / "glass1.jpg", "paper", "relabel"),
        (photos / "metal" / "metal1.jpg", "metal", "remove"),  # z1 is a copy of it
        (tmp_path / "elsewhere.jpg", "glass", "remove"),
    ]
    write_table(tmp_path / "marks.csv", [("path", "label", "action"), *marks])
    take = ("--take", "unreadable,marked,duplicate,near_duplicate")
    code, _, err = command(
        "data", "clean", photos, *take, "--marks", tmp_path / "marks.csv", "--out",
        tmp_path / "clean.csv", "--report", tmp_path / "report",
    )  # fmt: skip
    assert code in (0, 3), err
    assert "1 photos get another label" in err
    assert "left out: 1 marks of photos not in the dataset" in err
    labels = {s.path.name: s.label for s in read_manifest(tmp_path / "clean.csv")}
    assert labels["glass1.jpg"] == "paper"
    assert "metal1.jpg" not in labels
    assert labels["z1.jpg"] == "metal"  # the copy that is not marked stays
    assert "z2.jpg" not in labels
    assert (tmp_path / "report" / "marked.png").exists()
    assert (photos / "metal" / "metal1.jpg").exists()
