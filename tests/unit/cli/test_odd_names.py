"""Names that are no UTF-8, or would be obeyed: pages and rows hold them as plain, valid text."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from recyclenet.data.manifest import Manifest, Sample, write_manifest

Command = Callable[..., tuple[int, str, str]]
NOT_UTF8 = os.fsdecode(b"\xff\xfe")
NAMES = (
    f"{NOT_UTF8}.jpg",
    "<script>alert(1)</script>.jpg".replace("/", "\u2215"),
    '"onload="alert(1)".jpg',
    "\x1b[31mred\x1b]0;title\x07.jpg",
    "\u202egpj.kcits.jpg",
    "line\nbreak\u2028.jpg",
    "{{ 7*7 }}.jpg",
)


class Tags(HTMLParser):
    """The elements of a page and their attributes' names."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.num_scripts = 0
        self.text = path.read_bytes().decode("utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.num_scripts += tag == "script"
        self.attributes |= {name for name, _ in attrs}


def check_page(path: Path, num_scripts: int = 0) -> Tags:
    page = Tags(path)
    assert page.num_scripts == num_scripts
    assert not {"iframe", "link"} & page.names
    assert not {name for name in page.attributes if name.startswith("on")}
    assert all(char.isprintable() or char in "\n" for char in page.text)
    return page


@pytest.fixture
def photos(photo_folder: Path, tmp_path: Path) -> Path:
    """Photos with odd names; every second one a copy of the one before."""
    for number, name in enumerate(NAMES):
        place = tmp_path / "photos" / ("glass", "metal")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo_folder / "glass" / f"glass{1 + number // 2}.jpg", place / name)
    return tmp_path / "photos"


def test_pages_of_demo_and_evaluate(
    command: Command, tiny_model: Path, photos: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    options = ["--model", tiny_model]
    code, out, err = command("demo", *options, "--pictures", photos, "--out", page)
    assert (code, err) == (0, "")
    text = check_page(page).text
    assert "\\udcff\\udcfe.jpg" in text
    assert "&lt;script&gt;" in text
    assert "\\x1b[31mred" in text
    assert "49.jpg" not in text
    odd = tmp_path / f"{NOT_UTF8}<b>"
    shutil.copytree(photos, odd)
    code, out, err = command("evaluate", *options, "--data", odd, "--report", page, "--json")
    assert code == 0
    assert json.loads(out)["data"] == str(odd)
    # The page's own script and its data.
    assert "\\udcff\\udcfe&lt;b&gt;" in check_page(page, num_scripts=2).text


def test_page_and_sheets_of_the_data_commands(
    command: Command, photos: Path, tmp_path: Path
) -> None:
    (photos / "glass").rename(photos / f"{NOT_UTF8}<i>")
    (photos / "metal").rename(photos / "$\\frac$")
    page = tmp_path / "page.html"
    code, _, err = command("data", "inspect", photos, "--out", page)
    assert code == 0, err
    check_page(page)
    code, out, err = command(
        "data", "clean", photos, "--json", "--out", tmp_path / "c.csv", "--report", tmp_path / "r"
    )
    assert code == 0, err
    rows = [json.loads(line) for line in out.splitlines()]
    assert "two_labels" in {row["kind"] for row in rows}
    assert any(NOT_UTF8 in row["path"] + str(row["other"]) for row in rows)
    with (tmp_path / "r" / "issues.csv").open(errors="surrogateescape", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(rows)


def test_rows_are_strict_json_whatever_the_names(
    command: Command, tiny_model: Path, photos: Path, tmp_path: Path
) -> None:
    code, out, _ = command("classify", "--json", "--model", tiny_model, photos)
    assert code == 0
    found = {Path(json.loads(line)["path"]).name for line in out.splitlines()}
    assert found == set(NAMES)
    (photos / "glass").rename(photos / NOT_UTF8)
    for words in (["data", "scan", photos, "--dry-run"], ["data", "inspect", photos]):
        code, out, err = command(*words, "--json")
        assert code == 0, err
        assert out.isascii()
        assert json.loads(out.encode("utf-8"))["classes"] == {NOT_UTF8: 4, "metal": 3}
    sides = [
        Sample(path, path.parent.name, split)
        for folder, split in ((NOT_UTF8, "train"), ("metal", "test"))
        for path in sorted((photos / folder).iterdir())
    ]
    write_manifest(Manifest(tuple(sides)), tmp_path / "set.csv")
    code, out, _ = command("data", "check-leaks", tmp_path / "set.csv", "--json")
    assert code == 1
    pairs = [json.loads(line) for line in out.encode("utf-8").decode("utf-8").splitlines()]
    assert len(pairs) == 3
    assert any(NOT_UTF8 in pair["labels"] for pair in pairs)


@pytest.mark.parametrize(
    "words",
    [
        ["scan", "--out", "{}/t.csv"],
        ["inspect", "--out", "{}/page.html"],
        ["clean", "--out", "{}/t.csv", "--report", "{}/r"],
        ["clean", "--out", "{}/t.csv", "--apply", "--quarantine", "{}/q"],
        ["check-leaks"],
    ],
    ids=" ".join,
)
def test_json_alone_is_on_stdout(
    command: Command, photos: Path, tmp_path: Path, words: list[str]
) -> None:
    source = photos
    if words == ["check-leaks"]:
        command("data", "split", photos, "--out", tmp_path / "set.csv")
        source = tmp_path / "set.csv"
    name, *options = (word.format(tmp_path) for word in words)
    code, out, err = command("data", name, source, "--json", *options)
    assert code == 0, err
    for line in out.splitlines():
        assert isinstance(json.loads(line), dict)
    assert ("wrote" in err) == ("--out" in words)


def test_photos_left_out_end_with_3(command: Command, photos: Path, tmp_path: Path) -> None:
    (photos / "glass" / "broken.jpg").write_bytes(b"nothing")
    for name, place in (("split", "s.csv"), ("inspect", "p.html"), ("scan", "t.csv")):
        code, _, err = command("data", name, photos, "--out", tmp_path / place)
        assert code == 3, err
        assert "broken.jpg" in err
        assert (tmp_path / place).is_file()
    code, _, err = command("data", "split", photos, "--dry-run")
    assert code == 3
    code, out, _ = command("data", "inspect", photos, "--json")
    assert (code, json.loads(out)["num_left_out"]) == (3, 1)
    for part in ("train", "test"):
        shutil.copytree(photos / "glass", tmp_path / "parts" / part / "glass")
    for path in (tmp_path / "parts" / "test" / "glass").iterdir():
        if path.name != "broken.jpg":
            path.unlink()
    code, _, err = command("data", "check-leaks", tmp_path / "parts")
    assert code == 3
    assert "0 pairs" in err
