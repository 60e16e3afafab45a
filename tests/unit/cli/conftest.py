"""Running commands in the test's own process, where a process of its own adds nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from recyclenet.cli.main import main


@pytest.fixture
def command(monkeypatch, capsys) -> Callable[..., tuple[int, str, str]]:
    """A function that runs a command line and returns exit code, stdout and stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["recyclenet", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        assert "defect" not in err, err
        return int(caught.value.code or 0), out, err

    return run
