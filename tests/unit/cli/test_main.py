"""However a command ends, it ends with one line and the right exit code."""

from __future__ import annotations

import errno
import re
import sys
from typing import Any

import pytest
from typer.testing import CliRunner

from recyclenet.cli import app
from recyclenet.cli.main import main
from recyclenet.errors import Interrupted


class OutOfMemoryError(RuntimeError):
    """As PyTorch's, which is not always there."""


DISK_FULL = OSError(errno.ENOSPC, "No space left on device", "photos/a.csv")


def ended(monkeypatch: Any, capsys: Any, error: BaseException | int) -> tuple[int, str]:
    def run() -> int:
        if isinstance(error, int):
            return error
        raise error

    monkeypatch.setattr(app, "run", run)
    with pytest.raises(SystemExit) as caught:
        main()
    out, err = capsys.readouterr()
    assert out == ""
    return caught.value.code, err  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (MemoryError("cannot allocate 3 GiB"), 1, "error: not enough memory"),
        (OutOfMemoryError("CUDA out of memory"), 1, "error: not enough memory"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"),
            1,
            "error: not enough memory",
        ),
        (RecursionError("maximum depth"), 1, "error: the input is nested too deeply"),
        (DISK_FULL, 1, "error: photos/a.csv: No space left on device"),
        (OSError("odd"), 1, "error: odd"),
        (KeyboardInterrupt(), 130, "stopped"),
        (130, 130, "stopped"),  # how Typer tells of it
        (Interrupted("stopped at epoch 3;\nthe same command goes on"), 130, "error: stopped at"),
        (KeyError("label"), 1, "error: this is a defect in RecycleNet: KeyError: 'label'; run"),
        (ValueError("a\x1b[31m\nb" * 999), 1, "error: this is a defect in RecycleNet: ValueError"),
        (BrokenPipeError(), 1, None),
        (3, 3, None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_is_raised_is_one_line(
    monkeypatch: Any, capsys: Any, error: BaseException | int, code: int, line: str | None
) -> None:
    found, err = ended(monkeypatch, capsys, error)
    assert found == code
    if line is None:
        assert err == ""
    else:
        assert err.startswith(line)
        assert err.count("\n") == 1
        assert len(err) < 600
        assert "\x1b" not in err


def test_developers_can_see_where_a_defect_is(monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setenv("RECYCLENET_DEBUG", "1")
    code, err = ended(monkeypatch, capsys, KeyError("label"))
    assert code == 1
    assert "Traceback" in err
    assert "test_main.py" in err
    assert err.splitlines()[-1].startswith("error: this is a defect")


def test_rows_are_strict_json(monkeypatch: Any, capsys: Any) -> None:
    import json

    from recyclenet.cli.rows import print_row

    row = {"\udcff.jpg": ["\udcff\ud800", "玻璃 \x1b[31m\u202e\u2028"], "n": 1e300}
    print_row(row)
    out = capsys.readouterr().out
    assert out.count("\n") == len(out.splitlines()) == 1
    assert json.loads(out.encode("utf-8").decode("utf-8")) == row
    assert "\x1b" not in out
    for number in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="JSON"):
            print_row({"n": number})


def test_importing_the_command_is_quick() -> None:
    """Ctrl-C ends with one line from here on, so what comes before is the standard library's."""
    import subprocess

    code = "import sys; import recyclenet.cli.main; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"typer", "numpy", "rich", "importlib.metadata"} & set(modules)


def test_the_quick_list_of_commands_is_the_whole_one() -> None:
    quick, whole = (
        CliRunner().invoke(made(), ["--help"]).output for made in (app.outline, app.application)
    )
    assert quick == whole
    for name, summary in app.COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(summary)}$", whole, re.MULTILINE)
