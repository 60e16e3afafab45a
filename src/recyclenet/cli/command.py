"""Checks of every command before it starts.

They refuse invalid numbers and paths, and outputs that would replace an input or the user's file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from inspect import unwrap
from pathlib import Path
from typing import Any, TypeAlias, get_type_hints

import typer
from typer.core import TyperCommand

from recyclenet.core.outputs import Folder, Kind, check_outputs, expand
from recyclenet.core.text import show_path
from recyclenet.errors import UsageError

# Larger numbers overflow in libraries.
LARGEST = 2**31 - 1


def _one(path: Any) -> Iterable[Path]:
    return [Path(path)]


@dataclass(frozen=True, slots=True)
class Reads:
    """Annotation of a parameter that names an input.

    Attributes:
        files: returns the files that the value stands for.
    """

    files: Callable[[Any], Iterable[Path]] = _one


@dataclass(frozen=True, slots=True)
class Writes:
    """Annotation of a parameter that names an output.

    Its command needs a parameter `force` (`options.ForceOption`).

    Attributes:
        kind: kind of the file, or of the files in the folder.
        default: returns the default path, given all parameters; None: no output by default.
    """

    kind: Kind | Folder
    default: Callable[[dict[str, Any]], Path] | None = None


@dataclass(frozen=True, slots=True)
class Adds:
    """Annotation of a folder that gets new files; the command replaces nothing in it."""


Mark: TypeAlias = Reads | Writes | Adds


class Command(TyperCommand):
    """A command that checks its options and arguments before it runs."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line.

        Raises:
            UsageError: an argument is empty, often because a script's variable is. An empty path
                would mean the current folder.
        """
        empty = [arg for arg in args if not arg or re.fullmatch("--[a-z-]+=", arg)]
        if empty:
            raise UsageError(f"an argument is empty: {empty[0]!r}; use '.' for the current folder")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command.

        Raises:
            UsageError: a number is non-finite or too large, a path is invalid, or an output would
                replace an input or the user's own file.
        """
        for parameter in self.params:
            given = ctx.params.get(parameter.name)
            for value in given if isinstance(given, list | tuple) else [given]:
                if isinstance(value, int | float):
                    _check_number(parameter.opts[0], value)
                elif isinstance(value, Path):
                    _check_path(parameter.opts[0], value)
        named = list(self._named(ctx.params))
        outputs = [
            output
            for option, mark, value in named
            if isinstance(mark, Writes)
            for output in expand(option, value, mark.kind)
        ]
        reads = (
            (option, path)
            for option, mark, value in named
            if isinstance(mark, Reads)
            for path in mark.files(value)
        )
        check_outputs(outputs, reads, ctx.params.get("force", False))
        return super().invoke(ctx)

    def _named(self, values: dict[str, Any]) -> Iterator[tuple[str, Mark, Any]]:
        """Yield option, annotation and value of each input and output, defaults included."""
        marked = marks(self)
        for parameter in self.params:
            for mark in marked.get(parameter.name, ()):
                value = values[parameter.name]
                if value is None and isinstance(mark, Writes) and mark.default is not None:
                    value = mark.default(values)
                if value is not None:
                    option = parameter.opts[0]
                    yield option if option.startswith("-") else option.upper(), mark, value


def marks(command: TyperCommand) -> dict[str, list[Mark]]:
    """Return the `Reads`, `Writes` and `Adds` annotations of each parameter of a command."""
    hints = get_type_hints(unwrap(command.callback or typer.Exit), include_extras=True)
    return {
        name: [m for m in getattr(hint, "__metadata__", ()) if isinstance(m, Mark)]
        for name, hint in hints.items()
    }


def _check_number(option: str, value: float) -> None:
    if not abs(value) <= LARGEST:  # also refuses nan
        raise UsageError(f"{option} must be a number up to {LARGEST:,}, not {str(value)[:40]}")


def _check_path(option: str, value: Path) -> None:
    try:
        value.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass  # the command may create it
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{option} {show_path(value)[:200]}: {reason}") from error
