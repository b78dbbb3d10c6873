"""What is read ahead of a session is bounded, in order, and has an end."""

from __future__ import annotations

import asyncio

import pytest
from wire_client import text

from penstock.data import VALUE_BYTES, Binary
from penstock.errors import InputError
from penstock.manifest import READ_AHEAD_BYTES
from penstock.service.chunks import Inputs, decode_chunk, parts_of
from penstock.service.inbox import Inbox
from penstock.wire.speech import read_speech
from penstock.wire.v1 import common_pb2 as pb
from penstock.wire.v1 import streaming_pb2 as streaming


def sized(nbytes: int, sequence: int = 0) -> Inputs:
    """A chunk that takes so much while it waits."""
    value = Binary.from_bytes(bytes(nbytes - VALUE_BYTES))
    return Inputs((("", value),), sequence, 0)


async def put(inbox: Inbox[Inputs], chunk: Inputs) -> None:
    await inbox.put(chunk, chunk.nbytes)


async def settled() -> None:
    """Let every task go as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("size", "room"),
    [(READ_AHEAD_BYTES // 1000, 1000), (READ_AHEAD_BYTES // 4, 4), (2 * READ_AHEAD_BYTES, 1)],
)
async def test_a_reader_waits_for_room(size: int, room: int) -> None:
    inbox: Inbox[Inputs] = Inbox()
    for sequence in range(room):
        await put(inbox, sized(size, sequence))
    waiting = asyncio.create_task(put(inbox, sized(size, room)))
    await settled()
    assert not waiting.done()
    first = await inbox.take()
    assert first is not None
    assert first.sequence == 0
    await waiting


@pytest.mark.parametrize(
    "buffer",
    [
        text(""),
        text("x" * 10_000),
        pb.DataBuffer(json=pb.JsonData(json_payload="{}"), metadata={"who": "x" * 10_000}),
    ],
    ids=["nothing", "text", "metadata"],
)
def test_a_chunk_counts_with_all_that_it_holds(buffer: pb.DataBuffer) -> None:
    """Were an empty one free, a client could have as many as it likes waiting."""
    named = streaming.DataChunk(named_buffers={"a": buffer, "b": buffer})
    inputs = decode_chunk(named, parts_of(named), 0, 1 << 20)
    assert inputs.nbytes >= max(buffer.ByteSize(), VALUE_BYTES) * 2


@pytest.mark.parametrize("length", [1, 100_000])
def test_a_chunk_counts_with_the_names_that_it_has(length: int) -> None:
    """They are the client's to choose, and nobody has looked yet whether there are such nodes."""
    names = {letter * length: text("") for letter in "ab"}
    named = streaming.DataChunk(named_buffers=names)
    speech = streaming.StreamRequest(
        audio_chunk=streaming.AudioChunk(
            node_id="a" * length,
            buffer=pb.AudioBuffer(samples=bytes(2), sample_rate=16_000, channels=1, format=2),
        )
    )
    read = read_speech(speech.SerializeToString())
    assert read is not None
    for chunk, count in ((named, 2), (read, 1)):
        inputs = decode_chunk(chunk, parts_of(chunk), 0, 1 << 20)
        assert inputs.nbytes >= count * (length + VALUE_BYTES)


async def test_what_was_read_is_taken_before_the_end() -> None:
    inbox: Inbox[Inputs] = Inbox()
    await put(inbox, sized(VALUE_BYTES, 1))
    inbox.end()
    inbox.end()
    first, last = await inbox.take(), await inbox.take()
    assert first is not None
    assert (first.sequence, last) == (1, None)
    with pytest.raises(InputError):
        await put(inbox, sized(VALUE_BYTES))


async def test_the_end_wakes_who_waits() -> None:
    inbox: Inbox[Inputs] = Inbox()
    taking = asyncio.create_task(inbox.take())
    await settled()
    inbox.end()
    assert await taking is None


async def test_a_chunk_may_pass_only_where_it_overtakes_none() -> None:
    inbox: Inbox[Inputs] = Inbox()
    assert not inbox.is_passable  # nobody takes yet
    taking = asyncio.create_task(inbox.take())
    await settled()
    assert inbox.is_passable
    await put(inbox, sized(VALUE_BYTES))
    assert not inbox.is_passable  # it is here until it has been taken
    await taking
    assert not inbox.is_passable  # who took it is still busy with it
    taking = asyncio.create_task(inbox.take())
    await settled()
    assert inbox.is_passable
    inbox.end()
    with pytest.raises(InputError):
        assert inbox.is_passable
    assert await taking is None


async def test_what_waits_for_room_is_given_up_with_what_is_there() -> None:
    inbox: Inbox[Inputs] = Inbox()
    await put(inbox, sized(READ_AHEAD_BYTES, 1))
    waiting = asyncio.create_task(put(inbox, sized(VALUE_BYTES, 2)))
    await settled()
    inbox.clear()
    await waiting
    await put(inbox, sized(VALUE_BYTES, 3))
    taken = await inbox.take()
    assert taken is not None
    assert taken.sequence == 3
