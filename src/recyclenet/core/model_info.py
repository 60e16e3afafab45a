"""The metadata of a model file, and the seal that detects any change to the file.

A RecycleNet model is one `.onnx` file with JSON metadata under the key `recyclenet`. Its last bytes
are one more metadata entry: the SHA-256 of all bytes before it. ONNX is protobuf, where a repeated
field may be appended, so a sealed file is still a valid ONNX file.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import IO, Any

from recyclenet.core import protobuf
from recyclenet.core.preprocess import Preprocess
from recyclenet.core.taxonomy import STREAMS
from recyclenet.errors import ModelFileError, UsageError, nearest

# The schema written; earlier ones are read too. A file from a later release is readable if its
# `needs_schema` is at most this; fields unknown here are ignored.
SCHEMA_VERSION = 3
# The schema that a reader must support: 3 only for a file whose graph also returns features.
_PLAIN_SCHEMA, _FEATURES_SCHEMA = 2, 3
METADATA_KEY = "recyclenet"
# Wider than the fitted range (0.05 to 20); beyond it, probabilities are nearly 0, 1 or 1 / K.
TEMPERATURES = (0.001, 1000.0)

_SEAL_KEY = b"recyclenet.sha256"
# ModelProto's field `metadata_props`, and the fields `key` and `value` of its entries.
_PROPS, _KEY, _VALUE = 14, 1, 2
_ENTRY = b"\x0a" + bytes([len(_SEAL_KEY)]) + _SEAL_KEY + b"\x12\x40"
# Field 14 of ModelProto is `metadata_props`; the entry holds a key and 64 hexadecimal digits.
_SEAL_PREFIX = b"\x72" + bytes([len(_ENTRY) + 64]) + _ENTRY
SEAL_LENGTH = len(_SEAL_PREFIX) + 64


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """The metadata of one model.

    Attributes:
        name: short name of the model.
        class_names: the classes, in the order of the logits.
        preprocess: the evaluation transform that the model was trained for.
        temperature: divisor of the logits before the softmax.
        threshold: the confidence below which an answer counts as not known.
        thresholds: further decision thresholds, by name.
        statistics: further data for decisions, such as class feature statistics, by name.
        streams: disposal stream of each class.
        backbone: full name of the network: timm backbone, edits and attention.
        data_fingerprint: SHA-256 of the training manifest.
        metrics: metrics on the validation split at export.
        recipe: the resolved training recipe.
        precision: the type that stores the weights: "float32", "float16" or "int8".
        num_features: D, the length of the feature vector that the graph returns beside the logits;
            0 if it returns only logits.
        licence: licence of the weights.
        version: the RecycleNet release that exported the model.
    """

    name: str
    class_names: tuple[str, ...]
    preprocess: Preprocess
    temperature: float = 1.0
    threshold: float = 0.0
    thresholds: Mapping[str, float] = field(default_factory=dict)
    statistics: Mapping[str, Any] = field(default_factory=dict)
    streams: Mapping[str, str]
    backbone: str = ""
    data_fingerprint: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    precision: str = "float32"
    num_features: int = 0
    licence: str = ""
    version: str = ""

    def __post_init__(self) -> None:
        for kind, word, keys in _KINDS:
            for key in keys:
                value = getattr(self, key)
                if not isinstance(value, kind) or isinstance(value, bool):
                    raise ModelFileError(f"{key} must be {word}, not {type(value).__name__}")
        names = self.class_names
        if not all(isinstance(name, str) and name for name in names):
            raise ModelFileError("every class name must be non-empty text")
        if len(names) < 2 or len(set(names)) != len(names):
            raise ModelFileError("a model needs at least two class names, all different")
        if not all(
            type(value) in (int, float) and abs(value) <= sys.float_info.max
            for value in self.thresholds.values()
        ):
            raise ModelFileError("every threshold must be a finite number")
        if self.num_features < 0:
            raise ModelFileError(f"num_features must be 0 or more, not {self.num_features}")
        low, high = TEMPERATURES
        if not low <= self.temperature <= high:
            raise ModelFileError(
                f"the temperature must be {low} to {high:g}, not {self.temperature}"
            )
        if not 0 <= self.threshold < 1:
            raise ModelFileError(f"the threshold must be from 0 to below 1, not {self.threshold}")
        wrong = [name for name in names if self.streams.get(name) not in STREAMS]
        if wrong:
            raise ModelFileError(f"the class {wrong[0]!r} has no disposal stream")

    def class_index(self, name: str) -> int:
        """Return the index of a class in the logits.

        Raises:
            UsageError: the model has no such class.
        """
        if name not in self.class_names:
            raise UsageError(f"unknown class {name!r}: {nearest(name, self.class_names)}")
        return self.class_names.index(name)

    def to_json(self) -> str:
        """Return the metadata as JSON for the model file."""
        needed = _FEATURES_SCHEMA if self.num_features else _PLAIN_SCHEMA
        schema = {"schema_version": SCHEMA_VERSION, "needs_schema": needed}
        values = {**self.__dict__, "preprocess": self.preprocess.to_dict()}
        return _dump(schema | values)

    @classmethod
    def from_json(cls, text: str) -> ModelInfo:
        """Read the output of `to_json` of any compatible release; ignore unknown fields.

        Raises:
            ModelFileError: the text is not valid metadata, or needs a newer release.
        """
        try:
            values = json.loads(text, object_pairs_hook=_unique)
            _dump(values).encode()  # rejects NaN, infinity and lone surrogates at any depth
            schema = values["schema_version"]
            needed = values.get("needs_schema", schema)
            if type(needed) is not int or not 1 <= needed <= SCHEMA_VERSION:
                raise ModelFileError(
                    f"the model file needs schema {needed!r:.40}, but this release reads 1 to "
                    f"{SCHEMA_VERSION}; install the release that made the file "
                    f"({values.get('version', 'unknown')!s:.40})"
                )
            if not isinstance(values["class_names"], list):
                raise TypeError("class_names must be a list")
            values["class_names"] = tuple(values["class_names"])
            values["preprocess"] = Preprocess.from_dict(values["preprocess"])
            known = {field.name for field in fields(cls)}
            return cls(**{key: value for key, value in values.items() if key in known})
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise ModelFileError(f"the model file has invalid metadata ({reason:.200})") from error


_KINDS: tuple[tuple[type | tuple[type, ...], str, tuple[str, ...]], ...] = (
    (str, "text", ("name", "backbone", "data_fingerprint", "precision", "licence", "version")),
    (Mapping, "a table", ("streams", "metrics", "recipe", "thresholds", "statistics")),
    ((int, float), "a number", ("temperature", "threshold")),
    (int, "an integer", ("num_features",)),
)


def _dump(values: Any) -> str:
    return json.dumps(values, ensure_ascii=False, allow_nan=False)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build a dictionary for `json`; refuse duplicate keys."""
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("duplicate key")
    return values


def replace_info(content: bytes, info: ModelInfo) -> bytes:
    """Return a model file with other metadata, sealed anew; its graph stays as it is.

    Args:
        content: a sealed model file.
        info: the new metadata.

    Raises:
        ModelFileError: the content is no protobuf.
    """
    own = (METADATA_KEY.encode(), _SEAL_KEY)
    try:
        kept = [
            part.whole
            for part in protobuf.fields(memoryview(content))
            if part.number != _PROPS or _entry_key(part.value) not in own
        ]
    except ValueError as error:
        raise ModelFileError(f"the model file is damaged: {error}; copy it again") from error
    entry = [(_KEY, METADATA_KEY), (_VALUE, info.to_json())]
    encoded = b"".join(protobuf.encode(number, text.encode()) for number, text in entry)
    return seal(b"".join([*kept, protobuf.encode(_PROPS, encoded)]))


def find_metadata(content: bytes) -> str:
    """Return the JSON metadata of a model file.

    Raises:
        ModelFileError: the content is no protobuf, or has no metadata.
    """
    found = b""
    try:
        for part in protobuf.fields(memoryview(content)):
            if part.number == _PROPS and _entry_key(part.value) == METADATA_KEY.encode():
                found = _entry_field(part.value, _VALUE)
    except ValueError as error:
        raise ModelFileError(f"the model file is damaged: {error}; copy it again") from error
    if not found:
        raise ModelFileError("the file has no RecycleNet metadata; export the model again")
    return found.decode(errors="replace")


def _entry_key(entry: memoryview) -> bytes:
    return _entry_field(entry, _KEY)


def _entry_field(entry: memoryview, number: int) -> bytes:
    found = [bytes(part.value) for part in protobuf.fields(entry) if part.number == number]
    return found[-1] if found else b""


def seal(model: bytes) -> bytes:
    """Return `model` with the digest of its bytes appended."""
    return model + _SEAL_PREFIX + hashlib.sha256(model).hexdigest().encode()


def is_sealed(file: IO[bytes]) -> bool:
    """Return whether an open file ends with a seal, valid or not."""
    file.seek(0, os.SEEK_END)
    file.seek(max(0, file.tell() - SEAL_LENGTH))
    return file.read(SEAL_LENGTH).startswith(_SEAL_PREFIX)


def check_seal(content: bytes, name: str) -> str:
    """Refuse a file whose seal is missing or wrong.

    Args:
        content: the whole model file.
        name: the name for error messages.

    Returns:
        The SHA-256 of the whole file, hexadecimal.

    Raises:
        ModelFileError: the file is truncated, altered or not a RecycleNet model.
    """
    body, tail = content[:-SEAL_LENGTH], content[-SEAL_LENGTH:]
    if len(content) <= SEAL_LENGTH or not tail.startswith(_SEAL_PREFIX):
        raise ModelFileError(
            f"{name} is not a RecycleNet model, or is truncated; create one with "
            f"`recyclenet export` or copy it again"
        )
    digest = hashlib.sha256(body)
    if tail[len(_SEAL_PREFIX) :] != digest.hexdigest().encode():
        raise ModelFileError(f"{name} was altered or damaged (its SHA-256 differs); copy it again")
    digest.update(tail)
    return digest.hexdigest()
