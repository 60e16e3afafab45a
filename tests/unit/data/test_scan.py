"""What a folder of photos is taken to be."""

from __future__ import annotations

import hashlib
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from recyclenet.data.folders import find_pictures
from recyclenet.data.manifest import Manifest, read_manifest, write_manifest
from recyclenet.data.scan import _deaf_children, load_dataset, published_splits, scan_dataset
from recyclenet.errors import DataError, UsageError


def place(root: Path, *names: str) -> Path:
    """Make empty files; a scan goes by names alone."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def found(root: Path, manifest: Manifest) -> list[tuple[str, str, str]]:
    return [(s.path.relative_to(root).as_posix(), s.label, s.split) for s in manifest]


def test_one_folder_a_class(tmp_path):
    place(tmp_path, "玻璃/瓶 🍾.JPG", "paper/a.png", "paper/deep/er/b.webp", "loose.jpg")
    assert found(tmp_path, load_dataset(tmp_path)) == [
        ("paper/a.png", "paper", ""),
        ("paper/deep/er/b.webp", "paper", ""),
        ("玻璃/瓶 🍾.JPG", "玻璃", ""),
    ]


def test_generated_photos_are_all_found(photo_folder):
    manifest = load_dataset(photo_folder)
    assert manifest.counts == {"glass": 12, "metal": 12, "paper": 12}
    names = [sample.path.name for sample in manifest][:12]
    assert names == [f"glass{i}.jpg" for i in range(1, 13)]


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
def test_split_folders_with_class_folders_in_them(tmp_path, val):
    place(tmp_path, "train/glass/a.jpg", f"{val}/glass/b.jpg", "test/paper/c.jpg")
    assert sorted(found(tmp_path, load_dataset(tmp_path)), key=lambda row: row[2]) == [
        ("test/paper/c.jpg", "paper", "test"),
        ("train/glass/a.jpg", "glass", "train"),
        (f"{val}/glass/b.jpg", "glass", "val"),
    ]


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (("Garbage classification/Garbage classification/glass/a.jpg",
          "Garbage classification/Garbage classification/metal/b.jpg"), {"glass", "metal"}),
        (("images/images/soda_can/default/a.png", "images/images/soda_can/real_world/b.png",
          "images/images/newspaper/default/c.png"), {"soda_can", "newspaper"}),
        (("archive/train/glass/a.jpg", "archive/test/paper/b.jpg"), {"glass", "paper"}),
        (("soda_can/default/a.png", "soda_can/real_world/b.png"), {"soda_can"}),
        (("glass/a.jpg", "glass/more/b.jpg"), {"glass"}),
        (("dataset/厨余垃圾_薯条/a.jpg", "dataset/可回收物_鼠标/b.jpg"),
         {"厨余垃圾_薯条", "可回收物_鼠标"}),
    ],
)  # fmt: skip
def test_folders_as_archives_unpack(tmp_path, names, labels):
    manifest = load_dataset(place(tmp_path, *names))
    assert set(manifest.class_names) == labels
    assert len(manifest) == len(names)


def test_class_that_is_called_like_a_split(tmp_path):
    place(tmp_path, "test/a.jpg", "glass/b.jpg")
    assert load_dataset(tmp_path).class_names == ("glass", "test")


def test_rubbish_of_computers_and_archives_is_ignored(tmp_path):
    place(
        tmp_path,
        "glass/a.jpg",
        "glass/._a.jpg",
        "glass/Thumbs.db",
        "glass/notes.txt",
        "glass/.cache/b.jpg",
        ".git/c.jpg",
        "__MACOSX/glass/d.jpg",
        "__pycache__/e.jpg",
    )
    assert found(tmp_path, load_dataset(tmp_path)) == [("glass/a.jpg", "glass", "")]


def test_loop_of_links_ends(tmp_path):
    place(tmp_path, "glass/a.jpg")
    (tmp_path / "glass" / "again").symlink_to(tmp_path)
    (tmp_path / "glass" / "self").symlink_to(tmp_path / "glass" / "self")
    assert found(tmp_path, load_dataset(tmp_path)) == [("glass/a.jpg", "glass", "")]


def test_linked_photos_and_class_folders_count(tmp_path):
    place(tmp_path, "store/a.jpg")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "glass").symlink_to(tmp_path / "store")
    assert load_dataset(tmp_path / "set").counts == {"glass": 1}


def test_table_goes_before_folders(tmp_path):
    place(tmp_path, "glass/a.jpg", "paper/b.jpg")
    table = "path,label,split\nglass/a.jpg,bottle,test\n"
    (tmp_path / "manifest.csv").write_text(table)
    expected = [("glass/a.jpg", "bottle", "test")]
    assert found(tmp_path, load_dataset(tmp_path)) == expected
    assert found(tmp_path, load_dataset(tmp_path / "manifest.csv")) == expected


@pytest.mark.parametrize("names", [(), ("a.jpg",), ("glass/notes.txt",), ("train/a.jpg",)])
def test_folder_without_labelled_pictures_says_what_is_expected(tmp_path, names):
    place(tmp_path, *names)
    if names == ("train/a.jpg",):
        (tmp_path / "test").mkdir()
    with pytest.raises(UsageError, match=r"CLASS/PICTURE\.jpg"):
        load_dataset(tmp_path)


def test_place_that_is_no_dataset(tmp_path):
    with pytest.raises(UsageError, match="no folder or manifest"):
        load_dataset(tmp_path / "none")
    place(tmp_path, "photo.jpg")
    with pytest.raises(UsageError, match=r"neither a folder nor a \.csv"):
        load_dataset(tmp_path / "photo.jpg")


def test_pictures_come_in_the_order_people_count(tmp_path):
    names = ["a2b10.jpg", "a10b2.jpg", "p1.jpg", "p2.jpg", "p10.jpg", "²3.jpg", "b/1.jpg"]
    place(tmp_path, *reversed(names), ".hidden.jpg", ".hidden/3.jpg", "text.txt")
    assert list(find_pictures(str(tmp_path), pytest.fail)) == [f"{tmp_path}/{n}" for n in names]
    told: list[str] = []
    assert list(find_pictures(str(tmp_path / "none"), told.append)) == []
    assert told == [f"cannot read the folder {tmp_path}/none: No such file or directory"]


def test_few_photos_with_trashnets_names_are_not_trashnet(tmp_path):
    place(tmp_path, *list(published_splits())[:50])
    assert not load_dataset(tmp_path).has_splits


@pytest.fixture
def trashnet_names(tmp_path) -> Path:
    return place(tmp_path, *published_splits())


def test_trashnets_photos_get_their_published_splits(trashnet_names):
    manifest = load_dataset(trashnet_names)
    assert Counter(s.split for s in manifest) == {"train": 1768, "val": 328, "test": 431}
    for sample in manifest:
        assert sample.split == published_splits()[f"{sample.label}/{sample.path.name}"]
    (trashnet_names / "glass" / "my own.jpg").write_bytes(b"")
    assert not load_dataset(trashnet_names).has_splits


@pytest.mark.data
def test_the_real_trashnet(trashnet_dir):
    manifest = load_dataset(trashnet_dir)
    assert Counter(s.split for s in manifest) == {"train": 1768, "val": 328, "test": 431}
    assert manifest.counts == {
        "cardboard": 403,
        "glass": 501,
        "metal": 410,
        "paper": 594,
        "plastic": 482,
        "trash": 137,
    }


def test_a_scan_describes_every_photo(tmp_path):
    (tmp_path / "玻璃").mkdir()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2024:05:01 12:30:00"
    path = tmp_path / "玻璃" / "瓶 🍾.jpg"
    Image.new("RGB", (120, 80), "green").save(path, exif=exif)
    calls = []
    found = scan_dataset(tmp_path, lambda *numbers: calls.append(numbers))
    (sample,) = found.manifest
    assert (sample.width, sample.height) == (80, 120)  # upright
    assert sample.num_bytes == path.stat().st_size
    assert sample.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert sample.taken == "2024:05:01 12:30:00"
    assert calls == [(1, 1)]
    write_manifest(found.manifest, tmp_path / "m.csv")
    assert read_manifest(tmp_path / "m.csv") == found.manifest


def test_a_scan_names_what_it_leaves_out(messy_folder):
    found = scan_dataset(messy_folder)
    assert found.manifest.class_names == ("good",)
    assert {p.sample.label for p in found.problems if p.sample} == {"bad"}
    assert all(problem.reason and "\n" not in problem.reason for problem in found.problems)


def test_processes_find_the_same_in_the_same_order(messy_folder, monkeypatch):
    alone, told = scan_dataset(messy_folder), []
    monkeypatch.setattr("recyclenet.data.scan._FEW", 0)
    assert scan_dataset(messy_folder, lambda *counts: told.append(counts)) == alone
    total = len(alone.manifest) + len(alone.problems)
    assert told == [(done, total) for done in range(1, total + 1)]


def test_links_in_a_circle_are_named_and_not_followed(tmp_path, photo_folder):
    shutil.copytree(photo_folder, tmp_path / "set")
    (tmp_path / "set" / "circle").symlink_to(tmp_path / "set")
    (tmp_path / "set" / "glass" / "deeper").symlink_to(tmp_path)
    (tmp_path / "set" / "self.jpg").symlink_to(tmp_path / "set" / "self.jpg")
    found = scan_dataset(tmp_path / "set")
    assert found.manifest.counts == {"glass": 12, "metal": 12, "paper": 12}
    assert [p.reason.split(" leads")[0].rpartition("/")[2] for p in found.problems] == [
        "circle",
        "deeper",
    ]


def test_nothing_readable_is_an_error(tmp_path):
    place(tmp_path, "glass/a.jpg", "glass/b.jpg")
    with pytest.raises(DataError, match="none of the 2 photos"):
        scan_dataset(tmp_path)


def test_ctrl_c_reaches_this_process_and_not_those_it_starts() -> None:
    before = signal.getsignal(signal.SIGINT)
    with _deaf_children():
        ask = "import signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
        child = subprocess.run([sys.executable, "-c", ask], capture_output=True, check=True)
    assert child.stdout.split() == [b"True"]
    assert signal.getsignal(signal.SIGINT) is before
