"""What travels inside a model file, and the seal that shows whether a byte of it has changed.

A RecycleNet model is one `.onnx` file. Its facts are JSON under the metadata key `recyclenet`.
Its last bytes are one more metadata entry, the SHA-256 of all bytes before it: ONNX is protobuf,
where a repeated field may be appended, so a sealed file is an ordinary ONNX file too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

from recyclenet.core.preprocess import Preprocess
from recyclenet.core.taxonomy import STREAMS
from recyclenet.errors import ModelFileError

SCHEMA_VERSION = 1
METADATA_KEY = "recyclenet"

_SEAL_KEY = b"recyclenet.sha256"
_ENTRY = b"\x0a" + bytes([len(_SEAL_KEY)]) + _SEAL_KEY + b"\x12\x40"
# Field 14 of ModelProto is `metadata_props`; the entry holds a key and 64 hexadecimal digits.
_SEAL_PREFIX = b"\x72" + bytes([len(_ENTRY) + 64]) + _ENTRY
SEAL_LENGTH = len(_SEAL_PREFIX) + 64


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """The facts of one model.

    Attributes:
        name: short name of the model.
        class_names: the classes, in the order of the logits.
        preprocess: the evaluation transform it was trained for.
        temperature: divides the logits before the softmax.
        threshold: below this confidence an answer counts as not known.
        streams: disposal stream of each class.
        backbone: name of the network: timm's backbone, edits and attention.
        data_fingerprint: SHA-256 over the training manifest.
        metrics: figures measured on the validation split, when the model was made.
        recipe: the resolved recipe that made it.
        licence: terms of the weights.
        version: the RecycleNet release that exported it.
    """

    name: str
    class_names: tuple[str, ...]
    preprocess: Preprocess
    temperature: float = 1.0
    threshold: float = 0.0
    streams: Mapping[str, str]
    backbone: str = ""
    data_fingerprint: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    licence: str = ""
    version: str = ""

    def __post_init__(self) -> None:
        if len(self.class_names) < 2 or len(set(self.class_names)) != len(self.class_names):
            raise ModelFileError("a model needs two or more class names, all different")
        if not 0 < self.temperature < inf:
            raise ModelFileError(f"the temperature must be above zero, not {self.temperature}")
        if not 0 <= self.threshold < 1:
            raise ModelFileError(f"the threshold must be from 0 to below 1, not {self.threshold}")
        wrong = [name for name in self.class_names if self.streams.get(name) not in STREAMS]
        if wrong:
            raise ModelFileError(f"the class {wrong[0]!r} has no disposal stream")

    def to_json(self) -> str:
        """Return the JSON text kept in the model file."""
        values = {**self.__dict__, "preprocess": self.preprocess.to_dict()}
        return json.dumps({"schema_version": SCHEMA_VERSION, **values}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> ModelInfo:
        """Read what `to_json` wrote.

        Raises:
            ModelFileError: the text is no such JSON, or of a newer schema.
        """
        try:
            values = json.loads(text)
            schema = values.pop("schema_version")
            if schema != SCHEMA_VERSION:
                raise ModelFileError(
                    f"the model file has schema {schema}, this release reads {SCHEMA_VERSION}: "
                    f"install the release that made it ({values.get('version', 'unknown')})"
                )
            values["class_names"] = tuple(str(name) for name in values["class_names"])
            values["preprocess"] = Preprocess.from_dict(values["preprocess"])
            return cls(**values)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelFileError(f"the model file's facts are unusable: {error!r}") from error


def seal(model: bytes) -> bytes:
    """Return `model` with the digest of its bytes appended."""
    return model + _SEAL_PREFIX + hashlib.sha256(model).hexdigest().encode()


def check_seal(content: bytes, name: str) -> None:
    """Refuse bytes whose seal is missing or wrong.

    Args:
        content: the whole model file.
        name: how to call it in the message.

    Raises:
        ModelFileError: the file was cut short, altered, or never was a RecycleNet model.
    """
    body, tail = content[:-SEAL_LENGTH], content[-SEAL_LENGTH:]
    if len(content) <= SEAL_LENGTH or not tail.startswith(_SEAL_PREFIX):
        raise ModelFileError(
            f"{name} is no RecycleNet model or was cut short; make one with `recyclenet export` "
            f"or fetch it again"
        )
    if tail[len(_SEAL_PREFIX) :] != hashlib.sha256(body).hexdigest().encode():
        raise ModelFileError(f"{name} was altered or damaged (its digest differs); fetch it again")
