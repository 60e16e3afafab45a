"""Which bin a class goes in: disposal streams, the map from class to stream, a city's own rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from recyclenet.core.files import read_toml
from recyclenet.errors import UsageError, nearest

Stream: TypeAlias = Literal["recyclable", "kitchen", "hazardous", "other"]
STREAMS: tuple[Stream, ...] = get_args(Stream)

# The bin in words, as a person meets it.
BINS: Mapping[str, str] = {
    "recyclable": "recycling bin",
    "kitchen": "kitchen-waste bin",
    "hazardous": "hazardous-waste point",
    "other": "residual-waste bin",
}
# The words in place of a bin where the answer is not known.
UNSURE = "not sure: ask a person"

# Sets with Chinese names put the stream before the item: 厨余垃圾_草莓.
GROUPS: Mapping[str, Stream] = {
    "可回收物": "recyclable",
    "厨余垃圾": "kitchen",
    "有害垃圾": "hazardous",
    "其他垃圾": "other",
}


@dataclass(frozen=True)
class Rules:
    """What a city does differently.

    Attributes:
        streams: stream of a class, where it is not the model's.
        bins: words for the bin of a class, or of a stream.
    """

    streams: Mapping[str, str] = field(default_factory=dict)
    bins: Mapping[str, str] = field(default_factory=dict)

    def bin_of(self, label: str, stream: str) -> str:
        """Return the words for the bin that `label`, of this stream, goes in."""
        return self.bins.get(label) or self.bins.get(stream) or BINS[stream]


@cache
def known_streams() -> Mapping[str, str]:
    """Return the stream of every class of the package's taxonomies."""
    found: dict[str, str] = {}
    for path in _packaged("taxonomies").values():
        for stream, names in read_toml(path).items():
            found |= dict.fromkeys(names, stream)
    return found


def rules_names() -> tuple[str, ...]:
    """Return the names of the rules that come with the package."""
    return tuple(_packaged("rules"))


def load_rules(source: str, class_names: Iterable[str] = ()) -> Rules:
    """Read a city's rules.

    Args:
        source: the name of rules in the package, or the path of a TOML file.
        class_names: classes that may be named besides those of the taxonomies.

    Raises:
        UsageError: it cannot be read, or names a table, class or stream that does not exist.
    """
    named = _packaged("rules")
    if source not in named and not source.endswith(".toml"):
        hint = nearest(source, named)
        raise UsageError(f"unknown rules {source!r}: {hint} (or name a .toml file)")
    tables = read_toml(named.get(source, Path(source)))
    for name, table in tables.items():
        if name not in ("streams", "bins") or not isinstance(table, dict):
            raise UsageError(f"{source} has {name!r}; rules are the tables [streams] and [bins]")
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
            raise UsageError(f"{source}: the bin of {name!r} must be words, not {value!r}")
    return Rules(streams, bins)


def assign_streams(
    class_names: Iterable[str], own: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Map each class to its stream.

    Args:
        class_names: the classes of a model.
        own: a user's map; it goes before the taxonomies.

    Returns:
        Class name to stream. A class that nothing knows goes to "other", the stream in which a
        mistake spoils no recycling.

    Raises:
        UsageError: `own` names a stream that does not exist, or a class that is not there.
    """
    names = tuple(class_names)
    own = own or {}
    for name, stream in own.items():
        if stream not in STREAMS:
            raise UsageError(f"unknown stream {stream!r} for {name!r}: {nearest(stream, STREAMS)}")
        if name not in names:
            raise UsageError(
                f"a stream is given for unknown class {name!r}: {nearest(name, names)}"
            )
    return {name: own.get(name) or _usual(name) for name in names}


def _usual(name: str) -> str:
    known = known_streams()
    group = GROUPS.get(name.partition("_")[0], "other")
    return known.get(name) or known.get(name.lower()) or group


def _check(name: str, known: Iterable[str], source: str) -> None:
    if name not in known:
        raise UsageError(f"{source} has a rule for unknown {name!r}: {nearest(name, known)}")


def _packaged(folder: str) -> dict[str, Path]:
    places: Any = files("recyclenet") / folder
    return {path.name[:-5]: Path(str(path)) for path in sorted(places.iterdir())}
