"""Protobuf messages are read as their own library reads them, and damaged ones are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recyclenet.core.protobuf import encode, fields, walk


def read(content: bytes) -> list[tuple[int, bytes]]:
    return [(part.number, bytes(part.value)) for part in fields(memoryview(content))]


def test_every_kind_of_field():
    content = b"\x08\x96\x01" + b"\x12\x03abc" + b"\x1d1234" + b"\x2112345678" + b"\xfa\x01\x00"
    wanted = [(1, b"\x96\x01"), (2, b"abc"), (3, b"1234"), (4, b"12345678"), (31, b"")]
    assert read(content) == wanted


def test_a_length_written_in_more_bytes_than_needed():
    assert read(b"\x22\x84\x80\x00Loop") == [(4, b"Loop")]


@pytest.mark.parametrize(
    "content",
    [b"\x12\x05abc", b"\x08", b"\x0b", b"\x1d12", b"\xff" * 11, b"\x88\x80\x80\x80\x10\0"],
)
def test_damaged_messages_are_refused(content):
    with pytest.raises(ValueError, match=r"number|a field|wire type"):
        read(content)


def test_messages_within_are_read_where_asked():
    content = b"\x3a\x06\x0a\x02\x20\x07\x10\x01" + b"\x0a\x01\x99"
    found = [(place, bytes(value)) for place, value in walk(memoryview(content), {(7,), (7, 1)})]
    assert found == [
        ((7,), content[2:8]),
        ((7, 1), b"\x20\x07"),
        ((7, 1, 4), b"\x07"),
        ((7, 2), b"\x01"),
        ((1,), b"\x99"),
    ]


@given(st.binary(max_size=40))
def test_any_bytes_end(content):
    try:
        found = read(content)
    except ValueError:
        return
    assert sum(len(value) for _, value in found) <= len(content)


def test_a_model_is_read_like_the_library_reads_it(tiny_model):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(tiny_model)
    (graph,) = [
        part.value for part in fields(memoryview(tiny_model.read_bytes())) if part.number == 7
    ]
    nodes = [part.value for part in fields(graph) if part.number == 1]
    operators = [bytes(p.value).decode() for node in nodes for p in fields(node) if p.number == 4]
    assert operators == [node.op_type for node in model.graph.node]


@given(number=st.integers(1, 2**28), value=st.binary(max_size=300))
def test_a_field_is_read_as_it_was_written(number, value):
    content = encode(number, value)
    (found,) = fields(memoryview(content))
    assert (found.number, bytes(found.value), bytes(found.whole)) == (number, value, content)
