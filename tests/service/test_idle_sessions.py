"""A stream that nobody uses any more is ended; one that is slow is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest
from wire_client import CLOSE, WireClient, chunk, init, kinds, pipeline, rest

from penstock.manifest import Settings
from penstock.nodes import Catalogue
from penstock.wire.v1 import common_pb2 as pb

pytestmark = pytest.mark.leaves("descriptors")  # gRPC's, which it makes when it wants


@pytest.fixture
def settings() -> Settings:
    return Settings.model_validate({"service": {"session_idle_secs": 0.3}})


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue.installed().extended(str(Path(__file__).parent / "slow_nodes.py"))


async def opened(wire: WireClient, *types: str, **options: Any) -> Any:
    call = wire.stream()
    await call.write(init(pipeline(*types, **options)))
    while not (response := await call.read()).HasField("ready"):
        assert not response.HasField("error"), response
    return call


@pytest.mark.parametrize("node", ["PassThrough", "EchoNode"])
async def test_a_silent_stream_ends_with_an_error_that_says_why(
    wire: WireClient, node: str
) -> None:
    call = await opened(wire, node)
    await call.write(chunk("x"))
    last = (await rest(call))[-1]
    assert last.error.error_type == pb.ERROR_TYPE_RESOURCE_LIMIT
    assert last.error.message == "no input came and no output went for 0.3 s (session_idle_secs)"
    assert await call.code() is grpc.StatusCode.OK


async def test_each_input_starts_the_time_anew(wire: WireClient) -> None:
    """Ten waits for an output, together longer than the limit."""
    call = await opened(wire, "Slow", params={"seconds": 0.1})
    for number in range(10):
        await call.write(chunk(str(number)))
        while not (response := await call.read()).HasField("result"):
            assert not response.HasField("error"), response
    await call.write(CLOSE)
    assert kinds(await rest(call))[-1] == "closed"


async def test_a_client_that_has_closed_may_wait_for_the_last_work(wire: WireClient) -> None:
    call = await opened(wire, "Slow", params={"seconds": 1.0})
    await call.write(chunk("x"))
    await call.write(CLOSE)
    responses = await rest(call)
    assert "result" in kinds(responses)
    assert kinds(responses)[-1] == "closed"
