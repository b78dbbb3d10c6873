"""Long JSON goes through a service unread: others would wait for as long as that takes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from bus_client import HOUR_MS, OUT, Attached
from grpc_status import rpc_status
from wire_client import CLOSE, WireClient, converse, init, pipeline, rest

from penstock.data import PARSED_BYTES
from penstock.manifest import Settings
from penstock.wire.v1 import common_pb2 as pb
from penstock.wire.v1 import control_pb2 as control
from penstock.wire.v1 import execution_pb2 as execution
from penstock.wire.v1 import streaming_pb2 as streaming

LARGEST = 1 << 20
LONG = json.dumps([{"number": number} for number in range(10_000)])
OTHER = json.dumps(["é"] * 20_000)


@pytest.fixture
def settings() -> Settings:
    return Settings.model_validate(
        {
            "limits": {"max_message_bytes": 8 * LARGEST},
            "multiprocess": {"max_message_bytes": LARGEST},
        }
    )


@pytest.fixture(autouse=True)
def longest(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The characters of the JSON that this process, the front door, has parsed and written."""
    seen = [0]
    parse, write = json.JSONDecoder.decode, json.JSONEncoder.encode

    def decode(self: Any, text: str, *args: Any) -> Any:
        seen[0] = max(seen[0], len(text))
        return parse(self, text, *args)

    def encode(self: Any, value: Any) -> str:
        text = write(self, value)
        seen[0] = max(seen[0], len(text))
        return text

    monkeypatch.setattr(json.JSONDecoder, "decode", decode)
    monkeypatch.setattr(json.JSONEncoder, "encode", encode)
    return seen


def buffer(text: str) -> pb.DataBuffer:
    return pb.DataBuffer(json=pb.JsonData(json_payload=text))


def sent(text: str, **fields: Any) -> streaming.StreamRequest:
    chunk = streaming.DataChunk(node_id="n0", buffer=buffer(text), **fields)
    return streaming.StreamRequest(data_chunk=chunk)


def results(responses: list[streaming.StreamResponse]) -> list[Any]:
    return [
        json.loads(one.json.json_payload)
        for response in responses
        if response.HasField("result")
        for one in response.result.data_outputs.values()
    ]


@pytest.mark.parametrize("node_type", ["PassThrough", "EchoNode"])
async def test_it_goes_in_and_comes_out(
    wire: WireClient, node_type: str, longest: list[int]
) -> None:
    first = init(pipeline(node_type), data_inputs={"n0": buffer(LONG)})
    responses = await converse(wire, first, sent(OTHER), sent("[1]"), CLOSE)
    request = execution.ExecuteRequest(
        manifest=pipeline(node_type), data_inputs={"n0": buffer(LONG)}
    )
    result = (await wire.execute(request)).result.data_outputs["n0"]
    assert 0 < longest[0] <= PARSED_BYTES
    assert results(responses) == [json.loads(LONG), json.loads(OTHER), [1]]
    assert json.loads(result.json.json_payload) == json.loads(LONG)


@pytest.fixture
async def talk(wire: WireClient) -> AsyncIterator[tuple[Any, Attached]]:
    """A stream, and who is attached to its session."""
    call = wire.stream()
    await call.write(init(pipeline("PassThrough", "EchoNode")))
    while not (response := await call.read()).HasField("ready"):
        continue
    attached = Attached(wire.attach())
    hello = control.Hello(session_id=response.ready.session_id, acknowledge=True)
    await attached.call.write(control.ControlFrame(hello=hello))
    yield call, attached
    attached.call.cancel()
    await call.write(CLOSE)
    await rest(call)


async def test_who_is_attached_has_it_too(talk: tuple[Any, Attached], longest: list[int]) -> None:
    """One sees it, and gives another in its place."""
    call, attached = talk
    at = control.ControlAddress(node_id="n0", direction=OUT)
    await attached.do(subscribe=control.Subscribe(addr=at))
    await attached.do(intercept=control.Intercept(addr=at, deadline_ms=HOUR_MS))
    await call.write(sent(LONG))
    shown = await attached.event("tap")
    asked = await attached.event("intercept_request")
    decision = control.InterceptDecision(replace=buffer(OTHER))
    number = asked.correlation_id
    await attached.do(
        intercept_reply=control.InterceptReply(correlation_id=number, decision=decision)
    )
    while not (response := await call.read()).HasField("result"):
        continue
    assert longest[0] <= PARSED_BYTES
    for found in (shown.data, asked.data):
        assert json.loads(found.json.json_payload) == json.loads(LONG)
    assert results([response]) == [json.loads(OTHER)]


@pytest.mark.parametrize("text", ["[" + " " * LARGEST + "]", "no JSON at all" * 100_000])
async def test_more_than_a_message_may_have_is_too_much_whatever_it_says(
    wire: WireClient, text: str
) -> None:
    last = (await converse(wire, init(pipeline("PassThrough")), sent(text)))[-1].error
    inputs = {"n0": buffer(text)}
    request = execution.ExecuteRequest(manifest=pipeline("PassThrough"), data_inputs=inputs)
    for error in (last, (await wire.execute(request)).error):
        assert error.error_type == pb.ERROR_TYPE_RESOURCE_LIMIT
        assert json.loads(error.context)["wished"] == len(text)
        assert json.loads(error.context)["limit"] == LARGEST


async def test_a_stream_s_status_says_that_its_buffer_is_too_small(wire: WireClient) -> None:
    call = wire.stream(iter([init(pipeline("PassThrough")), sent("[" + " " * LARGEST + "]")]))
    await rest(call)
    status = await rpc_status.aio.from_call(call)
    said = streaming.StreamErrorResponse()
    assert status is not None
    assert status.details[0].Unpack(said)
    assert said.stream_error_type == streaming.STREAM_ERROR_BUFFER_OVERFLOW


async def test_what_is_no_json_is_refused_with_its_place(wire: WireClient) -> None:
    bad = sent(LONG + "]", sequence=7)
    error = (await converse(wire, init(pipeline("PassThrough")), bad))[-1].error
    assert error.error_type == pb.ERROR_TYPE_TYPE_VALIDATION
    assert error.message.startswith("data_chunk.buffer.json: json_payload: ")
