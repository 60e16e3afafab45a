"""Exit codes that scripts rely on, and hints that name what was meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recyclenet import errors
from recyclenet.errors import RecycleNetError, nearest


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("RecycleNetError", 1),
        ("UsageError", 2),
        ("DataError", 1),
        ("ImageError", 1),
        ("ModelFileError", 4),
        ("MissingExtraError", 1),
        ("Interrupted", 130),
    ],
)
def test_exit_code_of_each_error_is_as_its_table_says(name, code):
    kind = getattr(errors, name)
    assert issubclass(kind, RecycleNetError)
    assert kind.exit_code == code
    [line] = [row for row in (errors.__doc__ or "").splitlines() if f" {name} " in row]
    assert line.split(name)[1].split()[0] == str(code)


def test_one_except_clause_catches_bad_photos_of_both_kinds():
    assert issubclass(errors.ImageError, errors.DataError)


def test_missing_extra_gives_the_command_that_installs_it():
    message = str(errors.MissingExtraError("training", "train"))
    assert "training" in message
    assert message.endswith("pip install 'recyclenet[train]'")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("carboard", ["cardboard", "glass"], "did you mean 'cardboard'?"),
        ("zzz", ["metal", "glass"], "known: glass, metal"),
        ("x", [], "none is known"),
        ("zzz", [f"class {i:02}" for i in range(30)], ", ..."),
    ],
)
def test_hint(name, known, hint):
    assert nearest(name, known).endswith(hint)


@given(st.text(max_size=30), st.lists(st.text(max_size=30), max_size=20))
def test_hint_never_fails(name, known):
    assert nearest(name, known)
