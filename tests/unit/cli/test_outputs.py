"""No command replaces what is not its own earlier output; this walks through all of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from inspect import unwrap
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from recyclenet.cli.app import commands
from recyclenet.cli.command import Command, Writes, marks
from recyclenet.core.outputs import Folder

Run = Callable[..., tuple[int, str, str]]
FOREIGN = b"years of work, in no format that we know\n"


def all_commands(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from all_commands(command, (*words, name))
        else:
            yield (*words, name), command


COMMANDS = dict(all_commands(commands()))
WRITTEN = [
    pytest.param(words, parameter, name, id=" ".join((*words, parameter.opts[0], name or "")))
    for words, command in COMMANDS.items()
    for parameter in command.params
    for mark in marks(command).get(parameter.name, ())
    if isinstance(mark, Writes)
    for name in (mark.kind.files() if isinstance(mark.kind, Folder) else [""])
]


def required(command: Any, but: Any, folder: Path) -> list[str]:
    """Return arguments for what a command cannot do without."""
    words = []
    for parameter in command.params:
        if parameter.required and parameter is not but:
            option = parameter.opts[0] if parameter.opts[0].startswith("-") else None
            words += [option] if option else []
            words.append(str(folder / parameter.name))
    return words


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_path_is_declared_as_read_or_written(words: tuple[str, ...]) -> None:
    command = COMMANDS[words]
    assert isinstance(command, Command), "register it with cls=Command"
    hints = get_type_hints(unwrap(command.callback))
    found = marks(command)
    paths = [name for name, hint in hints.items() if hint is Path or Path in get_args(hint)]
    assert [name for name in paths if not found[name]] == []
    if any(isinstance(mark, Writes) for each in found.values() for mark in each):
        assert "force" in hints, "it writes, so it needs options.ForceOption"


def test_the_table_of_outputs_is_not_empty() -> None:
    assert len(WRITTEN) > 30


@pytest.mark.parametrize(("words", "parameter", "name"), WRITTEN)
def test_a_file_of_the_users_is_never_replaced(
    command: Run, tmp_path: Path, words: tuple[str, ...], parameter: Any, name: str
) -> None:
    place = tmp_path / "place"
    file = place / name if name else place
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(FOREIGN)
    code, out, err = command(
        *words, *required(COMMANDS[words], parameter, tmp_path), parameter.opts[0], place
    )
    assert code == 2
    assert not out
    assert len(err.splitlines()) == 1
    assert str(file) in err
    assert "--force" in err
    assert file.read_bytes() == FOREIGN


@pytest.mark.parametrize(
    ("words", "parameter"),
    [
        pytest.param(words, parameter, id=" ".join((*words, parameter.opts[0])))
        for words, command in COMMANDS.items()
        for parameter in command.params
        if marks(command).get(parameter.name)
    ],
)
def test_no_path_is_empty(
    command: Run, tmp_path: Path, words: tuple[str, ...], parameter: Any
) -> None:
    option = parameter.opts[0] if parameter.opts[0].startswith("-") else None
    more = required(COMMANDS[words], parameter, tmp_path)
    code, _, err = command(*words, *more, *([option] if option else []), "")
    assert code == 2
    assert len(err.splitlines()) == 1
    assert "is empty" in err


@pytest.fixture
def photos(photo_folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(photo_folder, tmp_path / "photos")
    return tmp_path / "photos"


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("link", ["same", "spelled", "symbolic", "hard"])
def test_what_is_read_is_never_replaced_even_by_force(
    command: Run, photos: Path, tmp_path: Path, tiny_model: Path, link: str
) -> None:
    table, other = tmp_path / "table.csv", tmp_path / "other.csv"
    code, _, err = command("data", "scan", photos, "--out", table)
    assert code == 0, err
    if link == "same":
        other = table
    elif link == "spelled":
        other = photos / ".." / "table.csv"
    elif link == "symbolic":
        other.symlink_to(table)
    else:
        os.link(table, other)
    before = contents(tmp_path)
    for words in (
        ("data", "split", table, "--out", other, "--force"),
        ("data", "scan", table, "--out", other, "--force"),
        ("evaluate", "--data", table, "--predictions", other, "--force", "--model", tiny_model),
        ("evaluate", "--data", other, "--report", table, "--force", "--model", tiny_model),
    ):
        code, _, err = command(*words)
        assert code == 2
        assert "is also an input" in err
        assert contents(tmp_path) == before


def test_photos_and_the_table_in_their_folder_are_what_is_read(
    command: Run, photos: Path, tiny_model: Path
) -> None:
    photo = next((photos / "glass").iterdir())
    rows = "".join(f"{path.relative_to(photos)},glass\n" for path in sorted(photos.rglob("*.jpg")))
    (photos / "manifest.csv").write_text(f"path,label\n{rows}")
    before = contents(photos)
    for words in (
        ("data", "scan", photos, "--out", photo),
        ("data", "clean", photos, "--out", photos / "manifest.csv"),
        ("evaluate", "--data", photos, "--report", photo, "--model", tiny_model),
        ("demo", "--pictures", photos, "--out", photo, "--model", tiny_model),
        ("demo", "--pictures", photos, "--out", tiny_model, "--model", tiny_model),
    ):
        for more in ((), ("--force",)):
            code, _, err = command(*words, *more)
            assert code == 2
            assert "is also an input" in err
            assert contents(photos) == before


def test_earlier_outputs_and_empty_files_are_replaced_and_others_by_force(
    command: Run, photos: Path, tmp_path: Path, tiny_model: Path
) -> None:
    page, table = tmp_path / "page.html", tmp_path / "table.csv"
    page.touch()
    words = ["evaluate", "--data", photos, "--split", "all", "--model", tiny_model]
    words += ["--report", page, "--predictions", table]
    for _ in range(2):
        code, _, err = command(*words)
        assert code == 0, err
    page.write_bytes(FOREIGN)
    code, _, err = command(*words)
    assert code == 2
    code, _, err = command(*words, "--force")
    assert code == 0, err
    assert b"<html" in page.read_bytes()


def test_a_report_replaces_and_deletes_only_sheets_of_an_earlier_one(
    command: Run, photos: Path, tmp_path: Path
) -> None:
    report, broken = tmp_path / "report", photos / "glass" / "broken.jpg"
    words = ["data", "clean", photos, "--report", report, "--out", tmp_path / "clean.csv"]
    broken.write_bytes(b"nothing")
    for _ in range(2):
        code, _, err = command(*words)
        assert code == 0, err
    assert (report / "unreadable.png").is_file()
    broken.unlink()
    (report / "notes.txt").write_bytes(FOREIGN)
    (report / "dark.png").write_bytes(FOREIGN)
    code, _, err = command(*words)
    assert code == 2
    assert "dark.png" in err
    code, _, err = command(*words, "--force")
    assert code == 0, err
    assert not (report / "unreadable.png").exists()
    assert (report / "notes.txt").read_bytes() == FOREIGN
    assert (report / "dark.png").read_bytes() == FOREIGN  # nothing took its place


def test_two_outputs_are_two_files(command: Run, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("page")
    evaluate = ["evaluate", "--data", photos, "--report", tmp_path / "page"]
    for other in ("page", "./page", "link", "page/below"):
        code, _, err = command(*evaluate, "--predictions", tmp_path / other)
        assert code == 2, other
        assert "--report" in err
        assert "--predictions" in err
    clean = ["data", "clean", photos, "--report", tmp_path / "report"]
    code, _, err = command(*clean, "--out", tmp_path / "report" / "issues.csv")
    assert code == 2
    assert "choose two files" in err
    augment = ["data", "augment", photos, "--copies", tmp_path / "copies", "--groups", "flips"]
    code, _, err = command(*augment, "--out", tmp_path / "copies")
    assert code == 2
    assert "choose a folder and a file" in err
    assert not (tmp_path / "copies").exists()


@pytest.mark.parametrize("place", ["photos", "x" * 256, "photos/glass/glass1.jpg/page", "loop"])
def test_places_that_cannot_be_files_are_refused_before_the_work(
    command: Run, photos: Path, tmp_path: Path, place: str
) -> None:
    (tmp_path / "loop").symlink_to("loop")
    code, out, err = command("demo", "--out", tmp_path / place)
    assert code == 2
    assert not out
    assert len(err.splitlines()) == 1


def test_a_folder_must_be_one(command: Run, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(FOREIGN)
    code, _, err = command("data", "clean", photos, "--report", tmp_path / "file")
    assert code == 2
    assert "is not a folder" in err


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is closed to root")
def test_a_closed_folder_is_refused_before_the_work(command: Run, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        code, out, err = command("demo", "--out", tmp_path / "page.html")
    finally:
        tmp_path.chmod(0o700)
    assert code == 1
    assert not out
    assert "is not writable" in err
