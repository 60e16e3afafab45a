"""The fields of protobuf messages, the format of ONNX files, without a library for it."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import NamedTuple, TypeAlias

Place: TypeAlias = tuple[int, ...]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_SHIFT = 63
_MAX_TAG = 2**32 - 1


def walk(
    message: memoryview, inside: Container[Place], place: Place = ()
) -> Iterator[tuple[Place, memoryview]]:
    """Yield the place and content of each field, also of the messages within the message.

    Args:
        message: the encoded message.
        inside: the places of the messages to enter.
        place: the numbers of the fields that lead to the message.

    Raises:
        ValueError: a message is damaged.
    """
    for number, value, _ in fields(message):
        here = (*place, number)
        yield here, value
        if here in inside:
            yield from walk(value, inside, here)


class Field(NamedTuple):
    """One field of a message.

    Attributes:
        number: which field it is.
        value: its content; a number is still encoded.
        whole: all its bytes, with the tag.
    """

    number: int
    value: memoryview
    whole: memoryview


def fields(message: memoryview) -> Iterator[Field]:
    """Yield each field of a message.

    Raises:
        ValueError: the message is damaged.
    """
    position = 0
    while position < len(message):
        first = position
        tag, position = _varint(message, position)
        if tag > _MAX_TAG:  # other readers drop the excess bits, and see another field
            raise ValueError("a field number is too large")
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
        yield Field(tag >> 3, message[start:position], message[first:position])


def encode(number: int, value: bytes) -> bytes:
    """Return a field of bytes, text or a message."""
    return _number(number << 3 | _BYTES) + _number(len(value)) + value


def _number(value: int) -> bytes:
    """Return a number of variable length."""
    content = bytearray()
    while value > 0x7F:
        content.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*content, value])


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
