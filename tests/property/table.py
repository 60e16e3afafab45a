"""The commands of `recyclenet` and their parameters, read from the program itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from recyclenet.cli import app


@dataclass(frozen=True)
class Parameter:
    """One option or argument.

    Attributes:
        command: the words of its command.
        name: of the parameter in the source.
        flag: how it is written; empty for an argument.
        kind: bool, int, float, str or Path, as annotated.
        many: may be given several times.
        required: must be given.
        low: smallest number that is allowed; None where any is.
        high: largest one.
    """

    command: str
    name: str
    flag: str
    kind: Any
    many: bool
    required: bool
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Command:
    """One command: its words, such as `data scan`, and its parameters."""

    words: str
    parameters: tuple[Parameter, ...]

    def has(self, name: str) -> bool:
        return any(parameter.name == name for parameter in self.parameters)


def commands() -> dict[str, Command]:
    """Return every command by its words."""
    return {command.words: command for command in _walk(app.commands(), "")}


def _walk(node: Any, words: str) -> Iterator[Command]:
    if hasattr(node, "commands"):
        for name, child in node.commands.items():
            yield from _walk(child, f"{words} {name}".strip())
    else:
        yield Command(words, tuple(_parameter(words, part) for part in node.params))


def _parameter(words: str, part: Any) -> Parameter:
    kind = part.type_descriptor.annotation
    many = get_origin(kind) in (list, tuple)
    is_argument = part.param_type_name == "argument"
    return Parameter(
        command=words,
        name=part.name,
        flag="" if is_argument else part.opts[0],
        kind=get_args(kind)[0] if many else kind,
        many=many,
        required=part.required,
        low=getattr(part, "min", None),
        high=getattr(part, "max", None),
    )
