"""Read and write fields of protobuf, the format of ONNX files, without a library for it."""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_SHIFT = 63


def fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield the number and content of each field; numeric fields have their encoded bytes.

    Raises:
        ValueError: the message is damaged.
    """
    for number, _, content in whole_fields(message):
        yield number, content


def whole_fields(message: memoryview) -> Iterator[tuple[int, memoryview, memoryview]]:
    """Yield the number of each field, the whole field, and its content as `fields` does.

    Raises:
        ValueError: the message is damaged.
    """
    position = 0
    while position < len(message):
        first = position
        tag, position = _varint(message, position)
        start, kind = position, tag & 7
        if kind == _VARINT:
            _, position = _varint(message, position)
        elif kind == _FIXED64:
            position += 8
        elif kind == _FIXED32:
            position += 4
        elif kind == _BYTES:
            size, start = _varint(message, position)
            position = start + size
        else:
            raise ValueError(f"unknown wire type {kind}")
        if position > len(message):
            raise ValueError("a field is longer than its message")
        yield tag >> 3, message[first:position], message[start:position]


def bytes_field(number: int, content: bytes) -> bytes:
    """Return a field that holds bytes, text or a message."""
    header = bytearray()
    for value in (number << 3 | _BYTES, len(content)):
        while value > 0x7F:
            header.append(value & 0x7F | 0x80)
            value >>= 7
        header.append(value)
    return bytes(header) + content


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """Return the number that starts at a position, and the position after it."""
    value = 0
    for shift in range(0, _MAX_SHIFT + 1, 7):
        if position >= len(message):
            raise ValueError("a number is cut off")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("a number is too long")
