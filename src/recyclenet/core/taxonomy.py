"""Disposal streams, the stream of each class, and the local rules of a city."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from recyclenet.core.toml import read_toml
from recyclenet.errors import UsageError, nearest

Stream: TypeAlias = Literal["recyclable", "kitchen", "hazardous", "other"]
STREAMS: tuple[Stream, ...] = get_args(Stream)

# The usual name of each stream's bin.
BINS: Mapping[str, str] = {
    "recyclable": "recycling bin",
    "kitchen": "kitchen-waste bin",
    "hazardous": "hazardous-waste point",
    "other": "residual-waste bin",
}
# Shown instead of a bin if the answer is not known.
UNSURE = "not sure: ask a person"

# The largest cost of a mistake; far larger than any that makes sense.
MAX_COST = 1e6

# Datasets with Chinese class names put the stream before the item: 厨余垃圾_草莓.
GROUPS: Mapping[str, Stream] = {
    "可回收物": "recyclable",
    "厨余垃圾": "kitchen",
    "有害垃圾": "hazardous",
    "其他垃圾": "other",
}


@dataclass(frozen=True)
class Rules:
    """The local rules of a city.

    Attributes:
        streams: class to stream, where it differs from the model's.
        bins: class or stream to the name of its bin.
        costs: what a mistake costs: class, stream or bin of the truth, to stream or bin chosen, to
            cost; None if the rules name no costs.
        abstain: cost of asking a person; None if the rules name none.
    """

    streams: Mapping[str, str] = field(default_factory=dict)
    bins: Mapping[str, str] = field(default_factory=dict)
    costs: Mapping[str, Mapping[str, float]] | None = None
    abstain: float | None = None

    def bin_of(self, label: str, stream: str) -> str:
        """Return the name of the bin for class `label` of stream `stream`."""
        return self.bins.get(label) or self.bin_of_stream(stream)

    def bin_of_stream(self, stream: str) -> str:
        """Return the name of the bin for the classes of `stream` without a bin of their own."""
        return self.bins.get(stream) or BINS[stream]


@cache
def known_streams() -> Mapping[str, str]:
    """Return the stream of every class in the built-in taxonomies."""
    found: dict[str, str] = {}
    for path in _packaged("taxonomies").values():
        for stream, names in read_toml(path).items():
            found |= dict.fromkeys(names, stream)
    return found


def rules_names() -> tuple[str, ...]:
    """Return the names of the built-in rules."""
    return tuple(_packaged("rules"))


def load_rules(source: str, class_names: Iterable[str] = ()) -> Rules:
    """Read a city's rules.

    Args:
        source: the name of built-in rules, or the path of a TOML file.
        class_names: allowed classes besides those of the taxonomies.

    Raises:
        UsageError: the file cannot be read, or has an unknown table, class or stream.
    """
    named = _packaged("rules")
    if source not in named and not source.endswith(".toml"):
        hint = nearest(source, named)
        raise UsageError(f"unknown rules {source!r}: {hint} (or give a .toml file)")
    tables = read_toml(named.get(source, Path(source)))
    for name, table in tables.items():
        if name not in ("streams", "bins", "costs") or not isinstance(table, dict):
            raise UsageError(
                f"{source} has {name!r}; only the tables [streams], [bins] and [costs] are allowed"
            )
    streams, bins = tables.get("streams", {}), tables.get("bins", {})
    known = {*known_streams(), *class_names}
    for name in streams:
        _check(name, known, source)
    for name in bins:
        _check(name, known | set(STREAMS), source)
    for name, value in streams.items():
        if not isinstance(value, str) or value not in STREAMS:
            raise UsageError(
                f"{source}: stream {value!r} for {name!r}: {nearest(str(value), STREAMS)}"
            )
    for name, value in bins.items():
        if not isinstance(value, str) or not value.strip():
            raise UsageError(f"{source}: the bin of {name!r} must be non-empty text, not {value!r}")
    if "costs" not in tables:
        return Rules(streams, bins)
    choices = {*STREAMS, *BINS.values(), *bins.values()}
    costs, abstain = _read_costs(tables["costs"], known, choices, source)
    return Rules(streams, bins, costs, abstain)


def _read_costs(
    table: dict[str, Any], known: set[str], choices: set[str], source: str
) -> tuple[dict[str, dict[str, float]], float | None]:
    """Return the costs of mistakes, and the cost of asking a person.

    Args:
        table: the table [costs].
        known: all classes.
        choices: all streams and bins.
        source: the rules, for error messages.
    """
    rows = {name: row for name, row in table.items() if name != "abstain"}
    for truth, row in rows.items():
        _check(truth, known | choices, source)
        if not isinstance(row, dict):
            raise UsageError(
                f"{source}: the costs of {truth!r} must be a table of streams or bins, such as "
                f"{{ other = 5 }}, not {row!r}"
            )
        for choice, cost in row.items():
            if choice not in choices:
                raise UsageError(
                    f"{source}: the costs of {truth!r} name the unknown stream or bin {choice!r}: "
                    f"{nearest(choice, choices)}"
                )
            _check_cost(f"the cost of {truth!r} in {choice!r}", cost, source)
    abstain = table.get("abstain")
    if abstain is not None:
        _check_cost("the cost 'abstain'", abstain, source)
    return rows, abstain


def _check_cost(what: str, cost: Any, source: str) -> None:
    is_number = isinstance(cost, int | float) and not isinstance(cost, bool)
    if not is_number or not 0 <= cost <= MAX_COST:
        raise UsageError(
            f"{source}: {what} must be a number from 0 to {MAX_COST:,.0f}, not {cost!r}"
        )


def assign_streams(
    class_names: Iterable[str], own: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Map each class to its stream.

    Args:
        class_names: the classes of a model.
        own: the user's class-to-stream map, which overrides the taxonomies.

    Returns:
        Class name to stream. An unknown class goes to "other", where a mistake contaminates no
        recycling.

    Raises:
        UsageError: `own` has an unknown stream or class.
    """
    names = tuple(class_names)
    own = own or {}
    for name, stream in own.items():
        if stream not in STREAMS:
            raise UsageError(f"unknown stream {stream!r} for {name!r}: {nearest(stream, STREAMS)}")
        if name not in names:
            raise UsageError(
                f"stream {stream!r} is set for unknown class {name!r}: {nearest(name, names)}"
            )
    return {name: own.get(name) or _default_stream(name) for name in names}


def _default_stream(name: str) -> str:
    known = known_streams()
    group = GROUPS.get(name.partition("_")[0], "other")
    return known.get(name) or known.get(name.lower()) or group


def _check(name: str, known: Iterable[str], source: str) -> None:
    if name not in known:
        raise UsageError(
            f"{source} has a rule for the unknown class {name!r}: {nearest(name, known)}"
        )


def _packaged(folder: str) -> dict[str, Path]:
    directory: Any = files("recyclenet") / folder
    return {path.name[:-5]: Path(str(path)) for path in sorted(directory.iterdir())}
