"""Streams that are full, closed or gone: never a traceback, and the right exit code."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ALL_GOOD, ONE_BAD, NO_MODEL = "all good", "one bad", "no model"


def started(words: list[str], where: str, **environment: str) -> tuple[int, str, str]:
    """Run a command line under a shell's redirections; return exit code, stdout and stderr."""
    line = f"{shlex.join([sys.executable, '-m', 'recyclenet', *words])} {where}"
    done = subprocess.run(
        ["bash", "-c", line],
        capture_output=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONUNBUFFERED": "", **environment},
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    for words_never_seen in ("Traceback", "Exception ignored", "defect", "lost sys."):
        assert words_never_seen not in out + err, err
    return done.returncode, out, err


@pytest.fixture
def words(tiny_model: Path, photo_folder: Path, tmp_path: Path) -> dict[str, list[str]]:
    """Command lines by how they end where all streams are well."""
    good = photo_folder / "glass" / "glass1.jpg"
    start = ["classify", "--model", str(tiny_model)]
    return {
        "help": ["--help"],
        "version": ["--version"],
        ALL_GOOD: [*start, str(good)],
        ONE_BAD: [*start, "--json", str(tmp_path / "none.jpg"), str(good)],
        NO_MODEL: [*start[:2], str(tmp_path / "none.onnx"), str(good)],
    }


CODES = {"help": 0, "version": 0, ALL_GOOD: 0, ONE_BAD: 3, NO_MODEL: 2}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("kind", ["help", "version", ALL_GOOD, ONE_BAD])
def test_full_stdout_fails_in_one_line(words: dict[str, list[str]], kind: str) -> None:
    code, _, err = started(words[kind], "> /dev/full")
    assert code == 1
    where = "" if kind == "help" else "cannot write to stdout: "
    assert err == f"error: {where}No space left on device\n"


@pytest.mark.parametrize("kind", ["help", ALL_GOOD, ONE_BAD, NO_MODEL])
def test_a_closed_stdout_takes_everything(words: dict[str, list[str]], kind: str) -> None:
    code, _, err = started(words[kind], ">&-")
    assert code == CODES[kind]
    assert len(err.splitlines()) == (kind in (ONE_BAD, NO_MODEL))


@pytest.mark.parametrize("where", ["2>&-", "2> /dev/full", "0<&- 2>&-"])
@pytest.mark.parametrize("kind", [ONE_BAD, NO_MODEL])
def test_a_stderr_that_takes_nothing_changes_nothing(
    words: dict[str, list[str]], kind: str, where: str
) -> None:
    code, out, _ = started(words[kind], where)
    assert code == CODES[kind]
    assert len(out.splitlines()) == (2 if kind == ONE_BAD else 0)


@pytest.mark.parametrize("where", [">&- 2>&-", "0<&- >&- 2>&-", "> /dev/full 2>&1"])
def test_no_stream_at_all(words: dict[str, list[str]], where: str) -> None:
    for kind in (ALL_GOOD, NO_MODEL):
        code, out, err = started(words[kind], where)
        assert code == (1 if "full" in where and kind == ALL_GOOD else CODES[kind])
        assert out + err == ""


def test_a_file_written_while_stdout_is_closed_holds_only_its_own(
    photo_folder: Path, tiny_model: Path, tmp_path: Path
) -> None:
    table = tmp_path / "p.csv"
    options = ["--model", str(tiny_model), "--data", str(photo_folder), "--predictions", str(table)]
    code, _, err = started(["evaluate", *options], ">&-")
    assert (code, err) == (0, f"wrote {table}\n")
    assert len(table.read_text().splitlines()) == 37


@pytest.mark.parametrize("kind", ["help", ALL_GOOD, ONE_BAD])
def test_a_reader_that_has_gone_hears_no_complaint(words: dict[str, list[str]], kind: str) -> None:
    code, out, err = started(words[kind], "| sleep 0; exit ${PIPESTATUS[0]}")
    assert (code, out) in ((1, ""), (CODES[kind], ""))  # whoever is faster
    assert err.count("\n") <= 1


@pytest.mark.parametrize(
    "environment",
    [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}, {"LC_ALL": "C"}],
    ids=str,
)
def test_chinese_labels_are_shown_whatever_the_encoding(
    make_model, photo_folder: Path, environment: dict[str, str]
) -> None:
    model = make_model(class_names=("玻璃", "金属", "纸"))
    photo = photo_folder / "glass" / "glass1.jpg"
    code, out, _ = started(["classify", "--model", str(model), str(photo)], "", **environment)
    assert code == 0
    assert out.splitlines()[1].startswith(("\\u73bb\\u7483", "玻璃"))


def test_ctrl_c_ends_with_one_line(tiny_model: Path, photo_folder: Path) -> None:
    command = [sys.executable, "-m", "recyclenet", "classify", "--json", "--model"]
    with subprocess.Popen(
        [*command, str(tiny_model), *[str(photo_folder)] * 300],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.stderr.read() == b"stopped\n"
        assert process.wait(30) == 130
