"""``ExecutePipeline`` of a service that has little room."""

from __future__ import annotations

import json
from pathlib import Path

import grpc
import pytest
from wire_client import WireClient, calls_ended, init, pipeline, text

from penstock.manifest import Capacity, ConnectionSettings, Limits, ServiceSettings, Settings
from penstock.nodes import Catalogue
from penstock.service import running
from penstock.wire.v1 import common_pb2 as pb
from penstock.wire.v1 import execution_pb2 as execution

NOTHINGS = """
from collections.abc import Iterator
from itertools import repeat

from penstock import BatchHint, Control, Json, Node, NodeParams, Text, node


class Params(NodeParams):
    value: str


@node("Nothings")
class Nothings(Node):
    Params = Params

    def produce(self) -> Iterator[Text | Control | Json]:
        yield from repeat({"text": Text(""), "json": Json(0), "control": Control(BatchHint(0))}[
            self.params.value
        ])
"""


@pytest.fixture
def settings() -> Settings:
    return Settings(limits=Limits(max_sessions=1, max_message_bytes=20_000))


@pytest.fixture
def catalogue(catalogue: Catalogue, tmp_path: Path) -> Catalogue:
    path = tmp_path / "nothings.py"
    path.write_text(NOTHINGS)
    return catalogue.extended(path)


async def refused_for(
    wire: WireClient, manifest: execution.PipelineManifest, said: str | None = None
) -> str:
    """What there is too little of for a call, with one text or without."""
    inputs = {} if said is None else {"n0": text(said)}
    request = execution.ExecuteRequest(manifest=manifest, data_inputs=inputs)
    error = (await wire.execute(request)).error
    assert error.error_type == pb.ERROR_TYPE_RESOURCE_LIMIT
    return str(json.loads(error.context)["resource"])


async def test_outputs_that_are_too_large_together_are_refused(wire: WireClient) -> None:
    manifest = pipeline("flood_outputs", params={"times": 30})
    assert await refused_for(wire, manifest, "x" * 1000) == "max_message_bytes"


@pytest.mark.parametrize("value", ["text", "control", "json"])
async def test_outputs_without_a_payload_are_bounded_too(wire: WireClient, value: str) -> None:
    """The node gives as many as it is asked for, without end."""
    manifest = pipeline("Nothings", params={"value": value})
    assert await refused_for(wire, manifest) == "max_message_bytes"


async def test_a_session_beyond_the_limit_is_refused(wire: WireClient) -> None:
    call = wire.stream()
    await call.write(init(pipeline("PassThrough")))
    while not (await call.read()).HasField("ready"):
        continue
    assert await refused_for(wire, pipeline("PassThrough"), "hello") == "sessions"
    call.cancel()


async def test_a_session_with_more_ends_than_there_are_descriptors_is_refused(
    catalogue: Catalogue,
) -> None:
    """Each source and each sink takes some; what the service keeps is those of two usual ones."""
    settings = Settings(
        limits=Limits(max_sessions=2),
        service=ServiceSettings(
            connections=ConnectionSettings(max_connections=Capacity.here().open_files)
        ),
    )
    wide = pipeline(*["PassThrough"] * 20)
    del wide.connections[:]
    async with running(settings, "127.0.0.1:0", catalogue) as address, WireClient(address) as wire:
        assert await refused_for(wire, wide, "hello") == "open_files"
        del wide.nodes[5:]
        inputs = {node.id: text("x") for node in wide.nodes}
        response = await wire.execute(execution.ExecuteRequest(manifest=wide, data_inputs=inputs))
        assert len(response.result.data_outputs) == 5
    await calls_ended()


async def test_a_request_that_is_too_large_is_refused(wire: WireClient) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await refused_for(wire, pipeline("PassThrough"), "x" * 200_000)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_who_has_been_answered_may_call_again_at_once(wire: WireClient) -> None:
    """There is room for one session, and the one before it still ends."""
    for _ in range(5):
        request = execution.ExecuteRequest(
            manifest=pipeline("EchoNode"), data_inputs={"n0": text("x")}
        )
        assert (await wire.execute(request)).WhichOneof("outcome") == "result"
