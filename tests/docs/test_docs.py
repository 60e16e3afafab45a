"""The docs say what is true: links lead somewhere, tables match the code, README commands run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

import recyclenet
from recyclenet.cli.app import application, commands
from recyclenet.operations.evaluate import evaluate

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_the_table_of_recipe_fields_matches_the_code() -> None:
    filled = runpy.run_path(str(ROOT / "scripts" / "update_docs.py"))["filled"]
    text = (ROOT / "docs" / "train.md").read_text(encoding="utf-8")
    assert filled(text) == text, "run scripts/update_docs.py"


def test_the_figures_of_a_report_are_whole_svg(photo_folder: Path, tiny_model: Path) -> None:
    drawn = runpy.run_path(str(ROOT / "scripts" / "render_report.py"))
    result = evaluate(photo_folder, tiny_model, measure=False)
    root = ElementTree.fromstring(drawn["figures"](result))
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "Confusion matrix of 36 photos" in texts
    assert texts.count("12") == 3
    names, counts = ("<纸>", "&"), np.array([[3, 1], [0, 7]])
    shares = counts / counts.sum(1, keepdims=True)
    matrix = ElementTree.fromstring(drawn["matrix"](names, counts, shares))
    shown = [element.text for element in matrix if element.tag == "text"]
    assert sorted(shown) == sorted(["<纸>", "&", "<纸>", "&", "3", "1", "7"])


def without_figures(text: str) -> str:
    """Text with numbers and runs of blanks evened out: processors differ in the last digits."""
    return re.sub(r"[ \t]+", " ", re.sub(r"[0-9.]+", "0", text)).strip()


def test_readme_commands_print_what_it_says(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL)
    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    runs = [part for block in blocks for part in re.split(r"^\$ ", block, flags=re.M) if part]
    ours = [run for run in runs if run.startswith("recyclenet ")]
    assert ours, "the README shows no command"
    for run in ours:
        command, _, expected = run.partition("\n")
        words = [sys.executable, "-m", "recyclenet", *shlex.split(command)[1:]]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr.decode()
        assert without_figures(done.stdout.decode()) == without_figures(expected), command


def test_python_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    monkeypatch.chdir(tmp_path)
    examples = [
        code
        for page in PAGES
        for code in re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), flags=re.DOTALL)
    ]
    assert len(examples) >= 2
    for code in examples:
        exec(compile(code, "example", "exec"), {})


def every_command() -> list[tuple[str, ...]]:
    """Return the words of every command and group of commands."""
    found: list[tuple[str, ...]] = []

    def add(words: tuple[str, ...], command: Any) -> None:
        found.append(words)
        for name, inner in getattr(command, "commands", {}).items():
            add((*words, name), inner)

    add((), commands())
    return found


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_every_command_has_help_and_is_in_the_docs(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(application(*words[:1]), [*words, "--help"])
    assert done.exit_code == 0
    assert "Usage" in done.output
    text = "".join(page.read_text("utf-8") for page in PAGES)
    assert " ".join(("recyclenet", *words)) in text


def test_examples_in_docstrings_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    attempted = 0
    for module in pkgutil.walk_packages(recyclenet.__path__, "recyclenet."):
        if module.name != "recyclenet.__main__":
            result = doctest.testmod(importlib.import_module(module.name))
            assert result.failed == 0, module.name
            attempted += result.attempted
    assert attempted >= 8
