from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from recyclenet.cli import serve
from recyclenet.cli.app import application
from recyclenet.core import extras
from recyclenet.errors import MissingExtraError, RecycleNetError, UsageError


def refused(*words: str, env: dict[str, str] | None = None) -> RecycleNetError:
    error = CliRunner().invoke(application("serve"), ["serve", *words], env=env).exception
    assert isinstance(error, RecycleNetError), error
    return error


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "SERVE_MODULES", ("no_such_module",))
    error = refused()
    assert isinstance(error, MissingExtraError)
    assert "recyclenet[serve]" in str(error)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "0.0.0.0"], "needs a token"),
        (["--host", "::"], "needs a token"),
        (["--host", "my-machine"], "needs a token"),
        (["--models", "no-such-folder"], "is not a folder"),
        (["--model", "a.onnx", "--models", "."], "either"),
        (["--allow-origin", "example.org"], "must look like"),
        (["--allow-origin", "https://example.org/x"], "must look like"),
        (["--model", "no-such.onnx"], "no model file"),
        (["--token-file", "no-such-file"], "no-such-file"),
    ],
)
def test_odd_options_are_refused(words: list[str], said: str) -> None:
    pytest.importorskip("fastapi", reason="needs the extra: serve")
    error = refused(*words, env={serve.TOKEN_VARIABLE: None})
    assert isinstance(error, UsageError)
    assert said in str(error)


@pytest.mark.parametrize("token", ["", "short", 15 * "a", 16 * "ä", "two words are no token"])
def test_weak_tokens_are_refused(token: str, tmp_path: Path) -> None:
    pytest.importorskip("fastapi", reason="needs the extra: serve")
    file = tmp_path / "token"
    file.write_text(token, encoding="utf-8")
    for error in (refused("--token-file", str(file)), refused(env={serve.TOKEN_VARIABLE: token})):
        assert isinstance(error, UsageError)
        assert "at least 16" in str(error)
    assert token == "" or token not in str(error)
