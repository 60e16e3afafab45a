"""However links lie and whatever is in the way, a search ends, meets each file once and says so."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SEARCHES = ["d", "d/", "d/**", "d/**/*", "d/**/*.jpg", "d/*"]


@pytest.fixture
def here(tmp_path: Path, photo_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with one photo in the folder d."""
    (tmp_path / "d").mkdir()
    shutil.copy(photo_folder / "glass" / "glass1.jpg", tmp_path / "d" / "a.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def answers(command, tiny_model, here):
    """A function that classifies and returns the exit code, the paths of the rows, and stderr."""

    def run(*arguments: str) -> tuple[int, list[str], str]:
        code, out, err = command("classify", "--json", "--model", tiny_model, "--", *arguments)
        return code, [json.loads(line)["path"] for line in out.splitlines()], err

    return run


@pytest.mark.parametrize("search", SEARCHES)
def test_links_in_a_circle(answers, here, search):
    (here / "d" / "up").symlink_to(here)
    (here / "d" / "itself").symlink_to(here / "d")
    (here / "d" / "nothing").symlink_to(here / "d" / "nothing")
    code, paths, err = answers(search)
    assert [os.path.normpath(path) for path in paths if "nothing" not in path] == ["d/a.jpg"]
    if search != "d/**/*.jpg":
        assert code == 3
        assert "d/itself leads back to its own folder" in err
        assert err.count("d/up leads back") == 1


@pytest.mark.parametrize("search", SEARCHES)
def test_links_to_each_other(answers, here, search):
    (here / "d" / "a").symlink_to("b")
    (here / "d" / "b").symlink_to("a")
    (here / "d" / "b.jpg").symlink_to("a.jpg")  # a link to a file is a picture
    _, paths, _ = answers(search)
    found = [os.path.normpath(path) for path in paths if path.endswith(".jpg")]
    assert found == ["d/a.jpg", "d/b.jpg"]


def test_many_links_to_one_folder(answers, here):
    (here / "store").mkdir()
    for number in range(20):
        shutil.copy(here / "d" / "a.jpg", here / "store" / f"{number}.jpg")
    for number in range(50):
        (here / "d" / f"link{number}").symlink_to(here / "store")
    code, paths, err = answers("d/**")
    assert (code, paths) == (3, ["d/a.jpg"])
    assert err.count("is a link to a folder, and a search does not follow it") == 50


def test_a_link_that_is_named_is_followed(answers, here):
    (here / "way").symlink_to("further")
    (here / "further").symlink_to("d")
    assert answers("way") == (0, ["way/a.jpg"], "")
    assert answers("way/*.jpg") == (0, ["way/a.jpg"], "")
    assert answers("way/**") == (0, ["way/a.jpg"], "")


@pytest.fixture
def nest(here: Path) -> Iterator[Callable[[str, int], None]]:
    """A function that makes folders in each other, in d, and goes there."""

    def make(name: str, depth: int) -> None:
        # From within, as a path may not be as long.
        os.chdir(here / "d")
        for _ in range(depth):
            Path(name).mkdir()
            os.chdir(name)

    yield make
    os.chdir(here)
    subprocess.run(["rm", "-rf", "d"], check=True)  # Python's and pytest's own ways give up


@pytest.mark.parametrize("search", ["d", "d/**", "d/**/*.jpg"])
def test_a_thousand_folders_deep(answers, here, nest, search):
    nest("x", 1000)
    shutil.copy(here / "d" / "a.jpg", "deep.jpg")
    os.chdir(here)
    code, paths, err = answers(search)
    assert (code, err) == (0, "")
    assert [Path(path).name for path in paths] == ["a.jpg", "deep.jpg"]


def test_deeper_than_a_path_can_be(answers, here, nest):
    nest("x" * 100, 60)
    os.chdir(here)
    code, paths, err = answers("d/**")
    assert (code, paths) == (3, ["d/a.jpg"])
    assert "File name too long" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", ["x" * 300, "d/" + "y" * 256 + ".jpg", "z" * 5000])
def test_names_that_are_too_long(answers, command, tiny_model, name):
    code, paths, err = answers(name, "d/a.jpg")
    assert (code, paths) == (3, [name, "d/a.jpg"])
    for arguments in (("evaluate", "--data", name), ("data", "scan", name, "--dry-run")):
        code, _, err = command(*arguments)
        assert code == 2
        assert err.count("\n") == 1
    code, _, _ = command("classify", f"{name}*")
    assert code == 2


@pytest.mark.parametrize("reason", ["Permission denied", "No such file or directory"])
@pytest.mark.parametrize("search", ["d", "d/**", "d/**/*.jpg", "d/*"])
def test_a_folder_that_cannot_be_read(answers, here, monkeypatch, search, reason):
    (here / "d" / "locked").mkdir()
    (here / "d" / "open").mkdir()
    shutil.copy(here / "d" / "a.jpg", here / "d" / "open" / "b.jpg")
    scandir = os.scandir

    def refuse(place: str) -> Iterator[os.DirEntry[str]]:
        if os.fspath(place).endswith("locked"):  # a test run by root may open any
            raise OSError(13, reason)
        return scandir(place)

    monkeypatch.setattr(os, "scandir", refuse)
    code, paths, err = answers(search)
    assert code == 3
    assert paths == ["d/a.jpg", "d/open/b.jpg"]
    assert err == f"left out: cannot read the folder d/locked: {reason}\n"


def test_only_a_folder_that_cannot_be_read(answers, here, monkeypatch):
    def refuse(place: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    code, paths, err = answers("d")
    assert (code, paths) == (3, [])
    assert "cannot read the folder d: Permission denied" in err


def test_what_is_no_file_is_not_opened(answers, here):
    os.mkfifo(here / "d" / "pipe.jpg")
    os.mkfifo(here / "d" / "pipe")
    listening = socket.socket(socket.AF_UNIX)
    os.chdir(here / "d")
    listening.bind("socket.jpg")
    os.chdir(here)
    (here / "d" / "endless.jpg").symlink_to("/dev/zero")
    code, paths, _ = answers("d")
    assert code == 3
    assert sorted(paths) == ["d/a.jpg", "d/endless.jpg", "d/pipe.jpg", "d/socket.jpg"]
    listening.close()


def test_an_empty_argument_is_not_the_current_folder(answers, here):
    shutil.copy(here / "d" / "a.jpg", here / "b.jpg")
    code, paths, err = answers("")
    assert (code, paths) == (2, [])
    assert "an argument is empty" in err


def test_datasets_are_searched_alike(command, tiny_model, photo_folder, tmp_path, monkeypatch):
    root = tmp_path / "set"
    shutil.copytree(photo_folder, root)
    (root / "glass" / "back").symlink_to(root)
    (root / "metal" / "other").symlink_to(root / "paper")
    (root / "paper" / "locked").mkdir()
    scandir = os.scandir

    def refuse(place: str) -> Iterator[os.DirEntry[str]]:
        if os.fspath(place).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scandir(place)

    monkeypatch.setattr(os, "scandir", refuse)
    evaluated = command("evaluate", "--data", root, "--model", tiny_model, "--json")
    scanned = command("data", "scan", root, "--dry-run", "--json")
    for code, out, err in (evaluated, scanned):
        assert code == 3
        assert json.loads(out)["num_photos"] == 36
        assert "glass/back leads back to its own folder" in err
        assert "metal/other is a link to a folder" in err
        assert "cannot read the folder" in err
        assert "paper/locked: Permission denied" in err
