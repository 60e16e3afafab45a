"""What every command refuses before it starts: numbers and paths that mean nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from typer.core import TyperCommand

from recyclenet.core.text import show_path
from recyclenet.errors import UsageError

# Larger numbers overflow in libraries; nobody means one.
LARGEST = 2**31 - 1


class Command(TyperCommand):
    """A command that checks the values of its options and arguments."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line.

        Raises:
            UsageError: an argument is empty, as where a script's variable is; as a path it would
                mean the current folder.
        """
        empty = [arg for arg in args if not arg or re.fullmatch("--[a-z-]+=", arg)]
        if empty:
            raise UsageError(f"an argument is empty: {empty[0]!r}; '.' is the current folder")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command.

        Raises:
            UsageError: a number is not finite or too large, or a path cannot exist.
        """
        for parameter in self.params:
            given = ctx.params.get(parameter.name)
            for value in given if isinstance(given, list | tuple) else [given]:
                if isinstance(value, int | float):
                    _check_number(parameter.opts[0], value)
                elif isinstance(value, Path):
                    _check_path(parameter.opts[0], value)
        return super().invoke(ctx)


def _check_number(option: str, value: float) -> None:
    if not abs(value) <= LARGEST:  # so that nan is refused too
        raise UsageError(f"{option} takes a number up to {LARGEST:,}, not {str(value)[:40]}")


def _check_path(option: str, value: Path) -> None:
    try:
        value.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass  # perhaps it is to be made
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{option} {show_path(value)[:200]}: {reason}") from error
