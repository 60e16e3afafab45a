"""Read TOML: whole files, and single values."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from recyclenet.core.files import read_text
from recyclenet.core.text import show_path
from recyclenet.errors import UsageError

MAX_BYTES = 1 << 20
MAX_DEPTH = 20

_TOO_DEEP = f"it nests deeper than {MAX_DEPTH} levels"


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        UsageError: the file is unreadable, not valid TOML or nested too deeply.
    """
    text = read_text(path, max_bytes=MAX_BYTES, wrong=UsageError)
    name = show_path(path)
    try:
        text.encode()
        return _parsed(text)
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise UsageError(f"{name}, line {line}: not UTF-8 text; save it as UTF-8") from None
    except ValueError as error:  # includes tomllib.TOMLDecodeError
        raise UsageError(f"{name} is not valid TOML: {error}") from error


def toml_value(word: str) -> Any:
    """Parse `word` as a TOML value; return it unchanged if it is not one.

    Raises:
        ValueError: the value is nested too deeply, or is a number of thousands of digits.
    """
    if len(word.splitlines()) > 1:
        return word
    try:
        return _parsed(f"value = {word}")["value"]
    except tomllib.TOMLDecodeError:
        return word


def _parsed(text: str) -> dict[str, Any]:
    """Parse TOML text.

    Raises:
        ValueError: the text is not valid TOML, or is nested too deeply.
    """
    try:
        values = tomllib.loads(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    level: list[Any] = [values]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for value in level
            if isinstance(value, dict | list)
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
    if level:
        raise ValueError(_TOO_DEEP)
    return values
