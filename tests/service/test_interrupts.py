"""Barge-in over the stream: controls overtake data, and no stale result follows the answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from bus_client import Streaming, attached
from wire_client import CLOSE, WireClient, chunk, init, pipeline, rest, text

from penstock.cli.dialogue import MANIFEST
from penstock.cli.utterance import Utterance
from penstock.client import Client
from penstock.data import Audio, Text
from penstock.errors import ServiceError
from penstock.manifest import parse_manifest
from penstock.nodes import Catalogue
from penstock.service.course import MOST_AHEAD
from penstock.session import Interruption
from penstock.wire.v1 import control_pb2 as pb
from penstock.wire.v1 import streaming_pb2 as streaming

NODES = str(Path(__file__).parents[1] / "session" / "interrupted_nodes.py")
SLOW = str(Path(__file__).with_name("slow_nodes.py"))


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue.installed().extended("penstock.testing.faults", NODES, SLOW)


def interrupt(node_id: str = "") -> streaming.StreamRequest:
    command = streaming.StreamControl.COMMAND_INTERRUPT
    return streaming.StreamRequest(
        control=streaming.StreamControl(command=command, node_id=node_id)
    )


def said(result: streaming.ChunkResult) -> str:
    (buffer,) = result.data_outputs.values()
    return buffer.text.text_data.decode()


def hops(count: int, **more: Any) -> Any:
    """n0 here, n1 that repeats, and then as many processes that pass on."""
    manifest = pipeline("PassThrough", "RepeatsApart", *["PassThrough"] * count, **more)
    for number in range(count):
        manifest.metadata.multiprocess.executor_overrides[f"n{number + 2}"] = "multiprocess"
    return manifest


async def test_with_three_hops_and_a_full_inlet(wire: WireClient) -> None:
    """The client has sent far more than the inlet holds, and reads only afterwards."""
    call = wire.stream()
    await call.write(init(hops(2, channel_capacity=4)))
    for _ in range(100):
        await call.write(chunk("old"))
    while not (await call.read()).HasField("result"):
        continue
    await call.write(interrupt())
    await call.write(chunk("new"))
    await call.write(CLOSE)
    responses = await rest(call)
    names = [response.WhichOneof("response") for response in responses]
    at = names.index("interrupted")
    told = responses[at].interrupted
    assert (told.node_id, told.by, told.epoch, list(told.sinks)) == ("", "", 1, ["n3"])
    texts = [said(one.result) for one in responses[at:] if one.HasField("result")]
    assert texts == [f"new {number}" for number in range(1000)]
    assert names[-1] == "closed"


async def test_a_node_that_there_is_not_ends_the_stream(wire: WireClient) -> None:
    call = wire.stream()
    await call.write(init(pipeline("PassThrough")))
    await call.write(interrupt("x"))
    responses = await rest(call)
    assert "no node has the ID 'x' (there are n0)" in responses[-1].error.message


async def test_an_interrupt_before_ready_gives_up_what_was_sent(wire: WireClient) -> None:
    call = wire.stream()
    await call.write(init(hops(0), data_inputs={"n0": text("older")}))
    await call.write(chunk("old"))
    await call.write(interrupt())
    await call.write(chunk("new"))
    await call.write(CLOSE)
    results = [said(one.result) for one in await rest(call) if one.HasField("result")]
    assert results == [f"new {number}" for number in range(1000)]


@pytest.mark.parametrize("size", [1, 700_000])
async def test_the_control_bus_gives_up_what_the_stream_is_ahead(
    wire: WireClient, size: int
) -> None:
    """All of it is short, or it is more than the stream is read ahead, and its reader waits."""
    call = wire.stream()
    stream = Streaming(call)
    await stream.begin("Slow", params={"seconds": 0.5}, channel_capacity=1)
    async with attached(wire, stream.session_id) as one:
        for number in range(5):
            await call.write(chunk(f"old{number}" * size))
        await stream.heard()
        await one.do(interrupt=pb.Interrupt())
        await call.write(chunk("new"))
        await call.write(CLOSE)
        responses = await rest(call)
    assert responses[-1].HasField("closed")
    at = [one.WhichOneof("response") for one in responses].index("interrupted")
    assert [said(one.result) for one in responses[at:] if one.HasField("result")] == ["new"]


async def test_an_interrupt_beside_the_stream_overtakes_what_is_sent_before_it(
    wire: WireClient,
) -> None:
    call = wire.stream()
    stream = Streaming(call)
    await stream.begin("PassThrough")
    async with attached(wire, stream.session_id) as one:
        assert (await one.do(interrupt=pb.Interrupt(overtakes=4))).epoch == 1
        for number in (1, 2):
            await call.write(chunk("old", sequence=number))
        await call.write(interrupt())  # the fourth message, with init
        await call.write(chunk("new", sequence=3))
        assert await stream.heard() == "new"
        late = await one.do(interrupt=pb.Interrupt(overtakes=5))
        assert (late.late, late.epoch) == (True, 0)
        assert (await one.do(interrupt=pb.Interrupt())).epoch == 2
    assert (await stream.close())[-1].HasField("closed")


@pytest.mark.parametrize("place", [3 + MOST_AHEAD, 2**63, 2**64 - 1])
async def test_a_place_that_nobody_can_have_come_to_is_refused(
    wire: WireClient, place: int
) -> None:
    """All of the stream would be stale for good."""
    call = wire.stream()
    stream = Streaming(call)
    await stream.begin("PassThrough")
    assert await stream.said("old") == ["old"]
    async with attached(wire, stream.session_id) as one:
        error = await one.refused(interrupt=pb.Interrupt(overtakes=place))
        expected = f"overtakes: expected at most {2 + MOST_AHEAD}, as 2 messages of the stream have"
        assert error.message.startswith(expected)
        assert error.message.endswith(f"got {place}")
        assert error.code == pb.CONTROL_ERROR_CODE_PROTOCOL
        assert await stream.said("new") == ["new"]
        farthest = 3 + MOST_AHEAD  # another has been read
        assert (await one.do(interrupt=pb.Interrupt(overtakes=farthest))).epoch == 1
    assert (await stream.close())[-1].HasField("closed")


async def test_of_a_node_it_overtakes_no_inputs(wire: WireClient) -> None:
    call = wire.stream()
    stream = Streaming(call)
    await stream.begin("PassThrough")
    async with attached(wire, stream.session_id) as one:
        assert (await one.do(interrupt=pb.Interrupt(node_id="n0", overtakes=3))).epoch == 1
        await call.write(chunk("kept"))
        await call.write(interrupt("n0"))
        assert await stream.heard() == "kept"
        assert (await one.do(interrupt=pb.Interrupt())).epoch == 2


async def test_all_values_of_a_chunk_are_given_up(wire: WireClient) -> None:
    """One waits for room, and those behind it have not been sent yet."""
    call = wire.stream()
    manifest = pipeline("Slow", "PassThrough", params={"seconds": 0.2}, channel_capacity=1)
    del manifest.connections[:]
    await call.write(init(manifest))
    for number in range(8):
        named = {name: text(f"old{number}") for name in ("n0", "n1")}
        data = streaming.DataChunk(named_buffers=named)
        await call.write(streaming.StreamRequest(data_chunk=data))
    while (response := await call.read()).WhichOneof("response") != "result":
        continue
    while "n0" not in response.result.data_outputs:
        response = await call.read()
    await call.write(interrupt())
    await call.write(chunk("new", "n1"))
    await call.write(CLOSE)
    responses = await rest(call)
    at = [one.WhichOneof("response") for one in responses].index("interrupted")
    assert [said(one.result) for one in responses[at:] if one.HasField("result")] == ["new"]


async def test_the_client_drops_what_had_come(service: str) -> None:
    told: list[Interruption] = []
    manifest = {
        "version": "v1",
        "metadata": {"name": "hops"},
        "nodes": [
            {"id": "n0", "node_type": "PassThrough"},
            {"id": "n1", "node_type": "RepeatsApart"},
        ],
        "connections": [{"from": "n0", "to": "n1"}],
    }
    async with (
        Client(service) as client,
        client.stream(manifest, on_interrupt=told.append) as stream,
    ):
        outputs = stream.outputs()
        await stream.send("n0", Text("old"))
        await anext(outputs)
        assert await stream.interrupt("n0") == Interruption("n0", None, 1, ("n1",))
        await stream.send("n0", Text("new"))
        await stream.close()
        texts = [output.value.text async for output in outputs if isinstance(output.value, Text)]
    assert texts == [f"new {number}" for number in range(1000)]
    assert told == [Interruption("n0", None, 1, ("n1",))]


async def test_the_clients_interrupt_ends_with_its_stream(service: str) -> None:
    async with Client(service) as client, client.stream(_gain()) as stream:
        with pytest.raises(ServiceError, match=r"no node has the ID .* \(there are n0\)"):
            await stream.interrupt("x")


def _gain() -> dict[str, Any]:
    nodes = [{"id": "n0", "node_type": "PassThrough"}]
    return {"version": "v1", "metadata": {"name": "one"}, "nodes": nodes}


def _assistant() -> dict[str, Any]:
    """The voice assistant, with barge-in; its lanes are short, so that a reply takes a while."""
    manifest = parse_manifest(MANIFEST).model_dump(mode="json", by_alias=True, exclude_none=True)
    for spec in manifest["nodes"]:
        if spec["id"] == "vad":
            spec["params"]["interrupts"] = "asr"
    manifest["metadata"]["multiprocess"]["channel_capacity"] = 2
    return manifest


async def _spoken(stream: Any, text: str) -> None:
    for piece in Utterance.said(text).chunks:
        await stream.send("chunker", piece)


async def _until_audio(outputs: AsyncIterator[Any]) -> None:
    async for output in outputs:
        if isinstance(output.value, Audio):
            return


async def test_a_voice_stops_the_reply_and_is_heard_itself(service: str) -> None:
    """Nobody reads the first reply to its end: speech that starts meanwhile interrupts it."""
    told: asyncio.Queue[Interruption] = asyncio.Queue()
    async with (
        Client(service) as client,
        client.stream(_assistant(), on_interrupt=told.put_nowait) as stream,
    ):
        outputs = stream.outputs()
        async with asyncio.TaskGroup() as group:
            group.create_task(_spoken(stream, "turn on the kitchen light"))
            await _until_audio(outputs)
        assert (await told.get()).by == "vad"  # the first turn: there was nothing to stop
        speaking = asyncio.create_task(_spoken(stream, "what time is it"))
        second = None
        texts: list[str] = []
        async for output in outputs:
            if second is None and not told.empty():
                second = told.get_nowait()
            if isinstance(output.value, Text):
                texts.append(output.value.text)
                if output.node_id == "transcript":
                    await speaking
                    await stream.close()
        assert second is not None
        assert (second.node_id, second.by) == ("asr", "vad")
        assert "speaker" in second.sinks
        assert "what time is it" in texts
