"""A stream that nobody uses any more is ended; one that is slow is not."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from closed_window import CLOSED_HELLO, unended
from grpc_status import rpc_status
from wire_client import CLOSE, WireClient, calls_ended, chunk, init, kinds, pipeline, rest

from bench.rpc.http2 import ACK, SETTINGS, call, connected, until
from penstock.manifest import Settings
from penstock.nodes import Catalogue
from penstock.service import running
from penstock.service.reflection import SERVICES
from penstock.testing import ProcessTree
from penstock.wire.methods import ATTACH
from penstock.wire.v1 import common_pb2 as pb
from penstock.wire.v1 import streaming_pb2 as streaming

CALL_LOG = "penstock.service.call_log"
STREAM = b"/remotemedia.v1.StreamingPipelineService/StreamPipeline"
REFLECTION = [f"/{name}/ServerReflectionInfo" for name in SERVICES]


@pytest.fixture
def settings() -> Settings:
    return Settings.model_validate({"service": {"session_idle_secs": 0.3}})


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue.installed().extended(
        "penstock.testing.faults", str(Path(__file__).parent / "slow_nodes.py")
    )


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


@pytest.mark.parametrize("path", [f"/{ATTACH.service}/{ATTACH.name}", *REFLECTION])
async def test_a_call_that_says_nothing_is_ended(catalogue: Catalogue, path: str) -> None:
    silence = {"service": {"connections": {"first_message_secs": 0.3}}}
    async with (
        running(Settings.model_validate(silence), "127.0.0.1:0", catalogue) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        silent: Any = channel.stream_stream(path)()
        with pytest.raises(grpc.aio.AioRpcError, match="no first message came for") as caught:
            await silent.read()
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await calls_ended()


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


async def read_all(call: Any, into: list[Any]) -> None:
    while (response := await call.read()) is not grpc.aio.EOF:
        into.append(response)


class TestUnread:
    """A service that waits half a second for who doesn't read."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings.model_validate({"service": {"session_idle_secs": 0.5, "unread_secs": 0.5}})

    async def test_a_client_that_never_reads_does_not_keep_its_session(
        self, service: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It is told when it reads at last; its messages that gRPC had taken come before."""
        caplog.set_level("INFO", "penstock.service")
        with call_logged() as told:
            async with WireClient(service) as wire:
                call = wire.stream()
                await call.write(init(pipeline("flood_outputs", params={"times": 200})))
                await call.write(chunk("x" * 100_000))
                async with asyncio.timeout(20):
                    await told.wait()
                assert ProcessTree(os.getpid()).named("pn:n0") == []
                responses: list[Any] = []
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await read_all(call, responses)
                status = await rpc_status.aio.from_call(call)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "read nothing for 0.5 s (unread_secs)" in str(caught.value.details())
        assert 0 < kinds(responses).count("result") < 200
        why = streaming.StreamErrorResponse()
        assert status is not None
        assert status.details[0].Unpack(why)
        assert "session_idle_secs" in why.base_error.message
        [line] = [r.message for r in caplog.records if r.name == CALL_LOG]
        assert "was not read to its end by its client: no input came" in line

    @pytest.mark.parametrize(
        ("node", "why"), [("EchoNode", "no input came"), ("raise_in_setup", "setup raised")]
    )
    async def test_a_client_that_takes_not_a_single_byte_keeps_nothing(
        self, service: str, caplog: pytest.LogCaptureFixture, node: str, why: str
    ) -> None:
        """It isn't told that its session is ready, or can't be."""
        caplog.set_level("INFO", "penstock.service")
        with call_logged() as told:
            async with connected(service) as (reader, writer):
                writer.write(CLOSED_HELLO)
                await until(reader, SETTINGS)
                writer.write(ACK + call(STREAM) + unended(init(pipeline(node))))
                async with asyncio.timeout(20):
                    await told.wait()
        [line] = [r.message for r in caplog.records if r.name == CALL_LOG]
        assert "was not read to its end by its client" in line
        assert why in line

    async def test_who_reads_in_time_has_all_of_it(self, wire: WireClient) -> None:
        call = await opened(wire, "PassThrough")
        await call.write(chunk("x" * 100_000))
        await call.write(CLOSE)
        assert kinds(await rest(call)).count("result") == 1


@contextlib.contextmanager
def call_logged() -> Iterator[asyncio.Event]:
    """Set when the service logs a call that has ended."""
    told = asyncio.Event()
    logger, handler = logging.getLogger(CALL_LOG), _Heard(told)
    logger.addHandler(handler)
    try:
        yield told
    finally:
        logger.removeHandler(handler)


class _Heard(logging.Handler):
    """Sets an event when something is logged."""

    def __init__(self, event: asyncio.Event) -> None:
        super().__init__()
        self._event = event

    def emit(self, _record: logging.LogRecord) -> None:
        self._event.set()
