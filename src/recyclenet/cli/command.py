"""What every command refuses before it starts.

That is numbers and paths that mean nothing, and outputs that would replace what must not be lost.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from inspect import unwrap
from pathlib import Path
from typing import Any, get_type_hints

import typer
from typer.core import TyperCommand

from recyclenet.core.outputs import Folder, Kind, check_outputs, expand
from recyclenet.core.text import show_path
from recyclenet.errors import UsageError

# Larger numbers overflow in libraries; nobody means one.
LARGEST = 2**31 - 1


def _one(path: Any) -> Iterable[Path]:
    return [Path(path)]


@dataclass(frozen=True, slots=True)
class Reads:
    """Marks a parameter, in its annotation, as naming what the command reads.

    Attributes:
        files: returns the files behind its value.
    """

    files: Callable[[Any], Iterable[Path]] = _one


@dataclass(frozen=True, slots=True)
class Writes:
    """Marks a parameter, in its annotation, as naming what the command writes.

    The command then needs a parameter `force` (`options.ForceOption`).

    Attributes:
        kind: of the file, or of the files in the folder.
        default: returns the place from all parameters where none is given; None: nothing is
            written then.
    """

    kind: Kind | Folder
    default: Callable[[dict[str, Any]], Path] | None = None


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
            UsageError: a number is not finite or too large, a path cannot exist, or an output
                would replace what must not be lost.
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

    def _named(self, values: dict[str, Any]) -> Iterator[tuple[str, Reads | Writes, Any]]:
        """Yield option, mark and value of each path that is given or written by default."""
        marked = marks(self)
        for parameter in self.params:
            for mark in marked.get(parameter.name, ()):
                value = values[parameter.name]
                if value is None and isinstance(mark, Writes) and mark.default is not None:
                    value = mark.default(values)
                if value is not None:
                    option = parameter.opts[0]
                    yield option if option.startswith("-") else option.upper(), mark, value


def marks(command: TyperCommand) -> dict[str, list[Reads | Writes]]:
    """Return what each parameter of a command is marked as."""
    hints = get_type_hints(unwrap(command.callback or typer.Exit), include_extras=True)
    return {
        name: [m for m in getattr(hint, "__metadata__", ()) if isinstance(m, Reads | Writes)]
        for name, hint in hints.items()
    }


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
