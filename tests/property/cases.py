"""One case: a tree and a command line."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from property.makers import Output, Value
from property.table import Command, Parameter
from property.values import ALWAYS, DEFAULTS, value
from property.worlds import ROOT, Draw, World, oddly, rarely

# Shares of the cases in which an option is given.
OFTEN = {
    "out": 0.85,
    "apply": 0.6,
    "quarantine": 0.6,
    "to": 0.8,
    "dry_run": 0.1,
    "resume": 0.2,
    "objects": 0.1,
}
# What makes sense: given one, also the others; one of these; given one, none of the others.
SEARCH = ("engine", "start_page", "pages", "per_page", "mirror")
TOGETHER = {
    "data clean": {"apply": ("quarantine",), "quarantine": ("apply",)},
    "data augment": {"out": ("copies",), "copies": ("out",)},
    "train": {"data": ("out",), "out": ("data",)},
    "explain": {"only_different": ("against",)},
    "classify": {"out": ("multi",), "force": ("multi",)},
}
ONE_OF = {
    "train": (("data", "resume"),),
    "data scan": (("out", "dry_run"),),
    "data split": (("out", "dry_run"),),
    "data merge": (("out", "dry_run"),),
    "data balance": (("out", "dry_run"), ("most", "least")),
    "data augment": (("out", "dry_run"),),
    "data download": (("to", "origin"), ("source", "origin")),
    "data collect": (("classes", "urls"),),
}
APART = {
    "train": {"resume": ("data", "maps", "out", "settings", "seed", "recipe")},
    "data split": {"lists": ("ratios", "legacy", "redraw", "seed"), "legacy": ("redraw", "seed")},
    "classify": {"multi": ("max_risk",)},
    "watch": {"multi": ("max_risk",)},
    "data download": {"origin": ("source",)},
    "data collect": {"classes": ("urls",), "urls": SEARCH},
}


@dataclass(frozen=True)
class Case:
    """A tree, a command line for it, and what that may write.

    Attributes:
        command: which command.
        world: the tree.
        words: after the program's name, `{root}` for the root.
        given: values by parameter.
        outputs: what the command is told to write.
        reads: paths below the root that it is told to read.
    """

    command: Command
    world: World
    words: tuple[str, ...]
    given: Mapping[str, tuple[str, ...]]
    outputs: tuple[Output, ...]
    reads: frozenset[str]

    def has(self, name: str) -> bool:
        """Whether a parameter is given."""
        return name in self.given

    def arguments(self, root: Path) -> list[str]:
        return [word.replace(ROOT, str(root)) for word in self.words]

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Spare Hypothesis the contents of all files."""
        printer.text(repr(self))

    def __repr__(self) -> str:
        line = shlex.join(("recyclenet", *self.words))
        return f"\n{self.world.describe()}\n  $ {line}\n  = {self.words!r}\n"


@st.composite
def cases(
    draw: Draw, command: Command, templates: Mapping[str, bytes], names: Collection[str] = ()
) -> Case:
    """Draw a case of one command.

    Args:
        draw: Hypothesis's.
        command: which.
        templates: contents of files by name.
        names: the parameters that are given, in a sober case; drawn too by default.
    """
    world = World(templates, sober=bool(names) or not rarely(draw, 0.4))
    world.add("here", "folder")
    world.file("tiny.toml", "tiny.toml")
    given: dict[str, tuple[str, ...]] = {}
    outputs: list[Output] = []
    reads: set[str] = set()
    words: list[str] = []
    arguments: list[str] = []
    names = names or _chosen(draw, world, command)
    for parameter in command.parameters:
        if parameter.name not in names:
            continue
        values = _values(draw, world, parameter)
        given[parameter.name] = tuple(value.text for value in values)
        outputs += [value.output for value in values if value.output is not None]
        reads |= {value.read for value in values if value.read}
        for text in given[parameter.name]:
            if not parameter.flag:
                arguments.append(text)
            elif parameter.kind is bool:
                words.append(parameter.flag)
            elif text.startswith("-") and not oddly(draw, world):
                words.append(f"{parameter.flag}={text}")
            else:
                words += [parameter.flag, text]
    if arguments:
        dashes = any(text.startswith("-") for text in arguments) and not oddly(draw, world)
        words += ["--"] * dashes + arguments
    if "out" not in given and command.words in DEFAULTS:
        outputs.append(Output(DEFAULTS[command.words]))
    return Case(
        command, world, (*command.words.split(), *words), given, tuple(outputs), frozenset(reads)
    )


def _chosen(draw: Draw, world: World, command: Command) -> set[str]:
    """Draw which parameters are given; in a sober case they make sense together."""
    names = set()
    for parameter in command.parameters:
        always = parameter.required or parameter.name in ALWAYS.get(command.words, ())
        forgotten = parameter.required and oddly(draw, world, 0.03)
        if (always and not forgotten) or rarely(draw, OFTEN.get(parameter.name, 0.35)):
            names.add(parameter.name)
    if world.sober:
        for one, others in TOGETHER.get(command.words, {}).items():
            names |= set(others) if one in names else set()
        for choice in ONE_OF.get(command.words, ()):
            if not names & set(choice):
                names.add(draw(st.sampled_from(choice)))
        for one, others in APART.get(command.words, {}).items():
            names -= set(others) if one in names else set()
    return names


def _values(draw: Draw, world: World, parameter: Parameter) -> list[Value]:
    """Draw what a parameter is given."""
    if parameter.kind is bool:
        return [Value("")]
    number = draw(st.integers(1, 3)) if parameter.many else 1
    return [value(draw, world, parameter) for _ in range(number)]
