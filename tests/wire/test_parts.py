"""No message makes more work than its sender had with it."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import DecodeError, Message
from hypothesis import given
from hypothesis import strategies as st

from penstock.wire import parts
from penstock.wire.parsing import Malformed, parsing
from penstock.wire.parts import MOST_PARTS, UNCOUNTED_BYTES, has_too_many_parts
from penstock.wire.v1 import common_pb2 as common
from penstock.wire.v1 import execution_pb2 as execution
from penstock.wire.v1 import streaming_pb2 as pb

FILLING = bytes(UNCOUNTED_BYTES)


def chunk(buffer: common.DataBuffer) -> pb.StreamRequest:
    return pb.StreamRequest(data_chunk=pb.DataChunk(buffer=buffer))


def of_many(count: int) -> dict[str, Message]:
    """Messages of so many parts that are small, and one that is large."""
    names = [f"{number:06}" for number in range(count // 3)]
    filled = common.BinaryBuffer(data=FILLING)
    shape = common.TensorBuffer(shape=[1] * count, data=FILLING)
    return {
        "metadata": chunk(common.DataBuffer(metadata=dict.fromkeys(names, "x"), binary=filled)),
        "a list": chunk(common.DataBuffer(tensor=shape)),
        "named buffers": pb.StreamRequest(
            data_chunk=pb.DataChunk(
                buffer=common.DataBuffer(binary=filled),
                named_buffers=dict.fromkeys(names, common.DataBuffer()),
            )
        ),
        "nodes": execution.ExecuteRequest(
            manifest=execution.PipelineManifest(
                nodes=[execution.NodeManifest(id=name, node_type="x") for name in names]
            ),
            data_inputs={"a": common.DataBuffer(binary=filled)},
        ),
    }


@pytest.mark.parametrize("name", of_many(3))
def test_what_has_too_many_parts_is_not_parsed(name: str) -> None:
    few, many = of_many(MOST_PARTS // 2)[name], of_many(MOST_PARTS + 50)[name]
    read: list[bytes] = []

    def parsed(message: Message) -> Any:
        return parsing(type(message), read.append)(message.SerializeToString())

    assert not isinstance(parsed(few), Malformed)
    assert str(parsed(many)).endswith(f"of at most {MOST_PARTS} parts")
    assert len(read) == 1


GROUP = b"\x7b\x7c"
"""A field that protobuf passes over, in a form of long ago."""
ODD: dict[str, bytes] = {
    "unknown fields": b"\x78\x01" * UNCOUNTED_BYTES,
    "after a group": GROUP + FILLING,
    "after a message that is a number": b"\x08\x01" + b"\x78\x01" * UNCOUNTED_BYTES,
    "with long numbers": b"\xf8\x80\x00\x81\x00" * UNCOUNTED_BYTES,
}


@pytest.mark.parametrize("name", ODD)
def test_nothing_odd_gets_past(name: str) -> None:
    assert has_too_many_parts(ODD[name], pb.StreamRequest)


@given(st.lists(st.sampled_from([b"\x0a", b"\x02", b"\x78", b"\x01", b"\xff", b"\x7d", b"\x79"])))
def test_what_protobuf_takes_is_counted_to_its_end(pieces: list[bytes]) -> None:
    """Else something behind it would not be."""
    data = b"".join(pieces)
    counting = parts._Counting(data)
    try:
        pb.StreamRequest.FromString(data)
    except DecodeError:
        return
    counting.look(0, len(data), pb.StreamRequest.DESCRIPTOR)
    assert counting.left <= MOST_PARTS - bool(data)


def test_small_messages_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_Counting", None)
    assert not has_too_many_parts(FILLING[1:], pb.StreamRequest)
