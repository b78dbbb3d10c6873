"""Chunks and results that wake no task, and those around them that do, in one order."""

from __future__ import annotations

import asyncio
import gc
import math
import struct
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from wire_client import CLOSE, WireClient, chunk, details, init, pipeline, rest

sys.path.insert(0, str(Path(__file__).parent / "rpc"))

from rpc_peer import Peer, widen

from bench.rpc.http2 import ACK, DATA, END_STREAM, HELLO, PING, call, connected, frame
from penstock.service.feed import Feed
from penstock.service.replies import Replies
from penstock.service.rpc import Call, lead
from penstock.session import Output
from penstock.wire.methods import STREAM_PIPELINE
from penstock.wire.v1 import streaming_pb2 as streaming

ECHO = pipeline("PassThrough")
INTERRUPT = streaming.StreamRequest(
    control=streaming.StreamControl(command=streaming.StreamControl.COMMAND_INTERRUPT)
)


def said(responses: list[streaming.StreamResponse]) -> list[str]:
    return [
        buffer.text.text_data.decode()
        for response in responses
        for buffer in response.result.data_outputs.values()
    ]


async def until(stream: Any, name: str) -> streaming.StreamResponse:
    while (response := await stream.read()) is not grpc.aio.EOF:
        if response.WhichOneof("response") == name:
            return response  # type: ignore[no-any-return]  # gRPC's own type
    raise AssertionError(f"the stream ended without {name}")


async def opened(wire: WireClient, manifest: Any = ECHO) -> Any:
    stream = wire.stream()
    await stream.write(init(manifest))
    await until(stream, "ready")
    return stream


async def test_a_chunk_and_its_result_wake_no_task(
    wire: WireClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What their tasks would call isn't called."""
    woken: list[str] = []

    def counted(owner: type, name: str) -> None:
        method = getattr(owner, name)

        def call_it(*args: Any) -> Any:
            woken.append(name)
            return method(*args)

        monkeypatch.setattr(owner, name, call_it)

    counted(Feed, "put")
    counted(Replies, "result")
    stream = await opened(wire)
    for number in range(50):
        await stream.write(chunk(str(number), sequence=number + 1))
        assert said([await until(stream, "result")]) == [str(number)]
    await stream.write(CLOSE)
    await until(stream, "closed")
    assert len(woken) < 10


async def test_results_that_nobody_reads_for_a_while_come_in_order(service: str) -> None:
    """Some of them find room, and the others wait, with chunks behind them."""
    texts = [f"{number:04}" + "x" * (number * 7 % 3000) for number in range(600)]
    async with WireClient(service, narrow=True) as wire:
        stream = await opened(wire)
        for text in texts[:300]:
            await stream.write(chunk(text))
        assert said([await until(stream, "result") for _ in range(10)]) == texts[:10]
        for text in texts[300:]:
            await stream.write(chunk(text))
        await stream.write(CLOSE)
        assert said(await rest(stream)) == texts[10:]


async def test_a_result_that_has_no_room_at_once_is_encoded_once(
    wire: WireClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []
    encode = Replies._in_full

    def counted(replies: Replies, output: Output, inputs_taken: int) -> Any:
        encoded.append(output.sequence)
        return encode(replies, output, inputs_taken)

    monkeypatch.setattr(Replies, "_in_full", counted)
    stream = await opened(wire)
    text = "x" * 100_000
    for _ in range(20):
        await stream.write(chunk(text))
        assert said([await until(stream, "result")]) == [text]
    await stream.write(CLOSE)
    await until(stream, "closed")
    assert encoded == list(range(20))


async def test_an_interrupt_is_told_behind_what_is_stale_and_before_what_is_not(
    wire: WireClient,
) -> None:
    stream = await opened(wire)
    for turn in range(40):
        await stream.write(chunk(f"old {turn}"))
        if turn % 2:
            assert (await until(stream, "result")).result.data_outputs
            await stream.write(chunk(f"old {turn}"))
        await stream.write(INTERRUPT)
        await stream.write(chunk(f"new {turn}"))
        await until(stream, "interrupted")
        assert said([await until(stream, "result")]) == [f"new {turn}"]
    await stream.write(CLOSE)
    assert said(await rest(stream)) == []


@pytest.mark.parametrize("one_by_one", [True, False], ids=["one by one", "all at once"])
async def test_a_chunk_that_is_wrong_after_many_that_were_not(
    wire: WireClient, one_by_one: bool
) -> None:
    stream = await opened(wire)
    for number in range(1, 101):
        await stream.write(chunk("good", sequence=number))
        if one_by_one:
            await until(stream, "result")
    await stream.write(chunk("bad", sequence=102))
    for number in range(103, 110):
        await stream.write(chunk("behind", sequence=number))
    error = (await until(stream, "error")).error
    assert "102" in error.message
    assert await rest(stream) == []
    assert (await details(stream)).failing_sequence == 102


async def test_a_value_that_is_none_after_many_that_were(wire: WireClient) -> None:
    stream = await opened(wire)
    for number in range(1, 51):
        await stream.write(chunk("good", sequence=number))
        await until(stream, "result")
    nothing = streaming.DataChunk(node_id="n0", sequence=51)
    await stream.write(streaming.StreamRequest(data_chunk=nothing))
    error = (await until(stream, "error")).error
    assert "data_chunk.buffer: expected one of" in error.message
    assert await rest(stream) == []
    assert (await details(stream)).failing_sequence == 51


def framed(request: streaming.StreamRequest, *, end: bool = False) -> bytes:
    content = request.SerializeToString()
    data = struct.pack(">BI", 0, len(content)) + content
    return frame(DATA, END_STREAM if end else 0, 1, data)


@pytest.fixture
async def peer(service: str) -> AsyncIterator[Peer]:
    """A client by hand, whose stream is ready."""
    async with connected(service) as (reader, writer):
        found = Peer(reader, writer)
        found.send(HELLO + ACK + widen(0, 1 << 20))
        found.send(call(STREAM_PIPELINE.path.encode()), framed(init(ECHO)))
        await found.until(lambda: any(one.HasField("ready") for one in responses(found)))
        yield found


def responses(peer: Peer) -> list[streaming.StreamResponse]:
    return [streaming.StreamResponse.FromString(data) for data in peer.streams[1].messages()]


async def test_who_interrupts_is_asked_soon_how_far_it_has_read(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However slowly it read before: behind what it has not read are the news of that."""
    monkeypatch.setattr(lead, "_VAIN_S", math.inf)
    peer.send(*[framed(chunk("x" * 1000))] * 60)
    await peer.until(lambda: peer.kinds.count(PING) == 1)
    for found in gc.get_objects():
        if isinstance(found, Call):
            found.lead.wait(1000.0)
    await peer.until(lambda: peer.kinds.count(PING) == 2)
    peer.send(framed(INTERRUPT))
    await peer.until(lambda: peer.kinds.count(PING) == 3)


@pytest.mark.parametrize(
    "ending",
    [
        framed(chunk("last"), end=True),
        framed(chunk("last")) + frame(DATA, END_STREAM, 1),
        framed(chunk("last")) + framed(CLOSE),
        framed(chunk("last")) + framed(CLOSE, end=True),
    ],
    ids=["its frame", "a frame", "close", "close and its frame"],
)
@pytest.mark.parametrize("before", [0, 1, 200])
async def test_an_end_in_one_segment_with_chunks_is_behind_them(
    peer: Peer, ending: bytes, before: int
) -> None:
    texts = [str(number) for number in range(before)]
    peer.send(*[framed(chunk(text)) for text in texts], ending)
    answer = await peer.ended(1)
    found = responses(peer)
    assert said(found) == [*texts, "last"]
    assert found[-1].closed.reason == "completed"
    assert answer.status == 0


async def test_a_chunk_behind_close_in_one_segment_is_refused(peer: Peer) -> None:
    late = framed(chunk("b", sequence=2), end=True)
    peer.send(framed(chunk("a", sequence=1)), framed(CLOSE), late)
    await peer.ended(1)
    assert "came after CLOSE" in responses(peer)[-1].error.message


async def test_a_client_that_leaves_right_behind_its_chunks_leaves_nothing(peer: Peer) -> None:
    peer.send(*[framed(chunk("x"))] * 50, frame(3, 0, 1, (8).to_bytes(4, "big")))
    peer.writer.close()


async def test_a_flood_on_one_stream_leaves_another_its_turns(wire: WireClient) -> None:
    flooding, other = await opened(wire), await opened(wire)
    count, seen = 20_000, 0

    async def flood() -> None:
        for _ in range(count):
            await flooding.write(chunk("x"))
        await flooding.write(CLOSE)

    async def read() -> None:
        nonlocal seen
        seen = len(said(await rest(flooding)))

    async with asyncio.TaskGroup() as group:
        group.create_task(flood())
        reading = group.create_task(read())
        for number in range(20):
            await other.write(chunk(str(number)))
            assert said([await until(other, "result")]) == [str(number)]
        assert not reading.done()
    assert seen == count
    await other.write(CLOSE)
    await until(other, "closed")
