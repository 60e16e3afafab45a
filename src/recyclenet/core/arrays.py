"""Arrays in a model file's metadata: base64 of little-endian values, with type and shape."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

_TYPES = {"float32": "<f4", "float16": "<f2", "int8": "|i1"}


def pack_array(values: npt.NDArray[Any], dtype: str) -> dict[str, Any]:
    """Return an array as plain values for JSON.

    Args:
        values: finite numbers within the range of the type.
        dtype: "float32", "float16" or "int8".
    """
    content = np.ascontiguousarray(values, _TYPES[dtype]).tobytes()
    return {
        "dtype": dtype,
        "shape": list(values.shape),
        "data": base64.b64encode(content).decode(),
    }


def unpack_array(values: Any, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Return the array of `pack_array` as float32.

    Args:
        values: untrusted, such as from a model file.
        shape: the required shape.

    Raises:
        ValueError: the values are no array of that shape, or hold a non-finite number.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"not a table but {type(values).__name__}")
    dtype, found, text = (values.get(key) for key in ("dtype", "shape", "data"))
    if not isinstance(dtype, str) or dtype not in _TYPES:
        raise ValueError(f"unknown type {dtype!r:.20}")
    if found != list(shape):
        raise ValueError(f"shape {found!r:.40}, not {list(shape)}")
    if not isinstance(text, str):
        raise ValueError("data is not text")
    content = base64.b64decode(text.encode(), validate=True)
    kind = np.dtype(_TYPES[dtype])
    if len(content) != kind.itemsize * int(np.prod(shape)):
        raise ValueError(f"{len(content)} bytes for shape {list(shape)} of {dtype}")
    array = np.frombuffer(content, kind).reshape(shape).astype(np.float32)
    if not np.isfinite(array).all():
        raise ValueError("a number is not finite")
    return array
