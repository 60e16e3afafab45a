"""Which bin a class goes in: the four disposal streams, and the map from class to stream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias, get_args

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

# TrashNet's six classes, and the one that common web sets add.
DEFAULT_STREAMS: Mapping[str, Stream] = {
    "biodegradable": "kitchen",
    "cardboard": "recyclable",
    "glass": "recyclable",
    "metal": "recyclable",
    "paper": "recyclable",
    "plastic": "recyclable",
    "trash": "other",
}


def assign_streams(
    class_names: Iterable[str], own: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Map each class to its stream.

    Args:
        class_names: the classes of a model.
        own: a user's map; it goes before the default one.

    Returns:
        Class name to stream. A class that neither map knows goes to "other", the stream in which
        a mistake spoils no recycling.

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
    return {name: own.get(name) or DEFAULT_STREAMS.get(name.lower(), "other") for name in names}
