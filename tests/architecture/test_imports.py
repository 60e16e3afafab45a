"""What the packages may import, and what a plain installation never loads."""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import recyclenet

REPOSITORY = Path(__file__).resolve().parents[2]
HEAVY = (
    "torch",
    "torchvision",
    "timm",
    "lightning",
    "onnx",
    "onnxscript",
    "sklearn",
    "matplotlib",
    "cv2",
)
# Installing the plain package must be enough for all of these.
LIGHT = (
    "recyclenet.errors",
    "recyclenet.core",
    "recyclenet.data",
    "recyclenet.evaluation",
    "recyclenet.inference",
    "recyclenet.explanation",
    "recyclenet.camera",
    "recyclenet.operations.audit",
    "recyclenet.operations.classify",
    "recyclenet.operations.compare",
    "recyclenet.operations.detect",
    "recyclenet.operations.evaluate",
    "recyclenet.operations.explain",
    "recyclenet.operations.import_feedback",
    "recyclenet.operations.list_runs",
    "recyclenet.operations.model_card",
    "recyclenet.operations.model_folder",
    "recyclenet.operations.promote",
    "recyclenet.operations.stress",
    "recyclenet.operations.teach",
    "recyclenet.cli",
)


def python(program: str, *arguments: object) -> str:
    """Run a program in a fresh interpreter; return what it prints last."""
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def module_names(package: str) -> list[str]:
    module = importlib.import_module(package)
    below = pkgutil.walk_packages(getattr(module, "__path__", ()), package + ".")
    return [package, *(found.name for found in below if not found.name.endswith("__main__"))]


def test_light_modules_load_nothing_heavy():
    names = [name for package in LIGHT for name in module_names(package)]
    assert len(names) > 20
    program = f"""
import importlib, sys
for name in {names!r}:
    importlib.import_module(name)
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    assert python(program) == "[]"


def test_help_and_classify_load_nothing_heavy(tiny_model, photo_folder):
    program = f"""
import sys
import recyclenet
assert not any(name in sys.modules for name in ("numpy", "PIL", "onnxruntime", "typer"))
from recyclenet.cli.main import main
sys.argv = ["recyclenet", *sys.argv[1:]]
try:
    main()
finally:
    print([name for name in {HEAVY!r} + HELP if name in sys.modules])
"""
    # The list of commands comes at once: without the engine, and without the commands.
    slow = ("numpy", "onnxruntime", "PIL", "recyclenet.cli.command", "recyclenet.cli.classify")
    helped = program.replace("HELP", repr(slow))
    for option in ("--help", "--version"):
        assert python(helped, option) == "[]"
    classified = program.replace("HELP", "()")
    picture = photo_folder / "glass" / "glass1.jpg"
    assert python(classified, "classify", "--model", tiny_model, picture) == "[]"


def test_public_names_are_sorted_and_there():
    assert list(recyclenet.__all__) == sorted(recyclenet.__all__)
    for name in recyclenet.__all__:
        assert getattr(recyclenet, name)


def test_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="Clasifier"):
        recyclenet.Clasifier  # noqa: B018


def test_version_and_module_command_agree():
    program = "import runpy; runpy.run_module('recyclenet', run_name='__main__')"
    assert python(program, "--version") == f"recyclenet {recyclenet.__version__}"


def test_only_one_module_prints():
    """What a person reads passes through `cli.output`, which makes it inert."""
    printing = re.compile(r"(?<![\w.])print\(|typer\.echo\(|(?<!Plain)Console\(")
    allowed = {"cli/output.py", "costs/memory.py"}
    source = REPOSITORY / "src" / "recyclenet"
    found = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        if printing.search(path.read_text(encoding="utf-8"))
    }
    assert found == allowed


def test_the_drawing_of_the_packages_matches_the_contracts():
    text = (REPOSITORY / "docs" / "design.md").read_text(encoding="utf-8")
    drawing = re.findall(r"```\n( +cli .*?)```", text, flags=re.DOTALL)[0]
    drawn = [re.split(r"  +", line.strip())[0] for line in drawing.splitlines()]
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    layers = contracts["tool"]["importlinter"]["contracts"][0]["layers"]
    expected = [layer.replace("recyclenet.", "") for layer in layers]
    assert [line for line in drawn if line not in ("", "|")] == expected
    tables = set(re.findall(r"^\| `([a-z.]+)`", text, flags=re.MULTILINE))
    packages = {path.name for path in (REPOSITORY / "src" / "recyclenet").iterdir()}
    assert {name for name in tables if "." not in name} <= packages
