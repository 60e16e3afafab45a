"""What a folder of photos is taken to be."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from recyclenet.data.dataset import load_dataset, published_splits
from recyclenet.data.folders import find_pictures
from recyclenet.data.manifest import Manifest
from recyclenet.errors import UsageError


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
