"""Who calls too often, and what becomes of others meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from pathlib import Path

import grpc
import pytest
from bearers import MASTER, OTHER, ROBOT, bearing, status_of, written
from closed_window import CLOSED_HELLO
from wire_client import WireClient, calls_ended

from bench.rpc.http2 import (
    ACK,
    END_HEADERS,
    HEADERS,
    HELLO,
    RESET,
    SETTINGS,
    call,
    connected,
    frame,
    headers,
    message,
    until,
)
from penstock.manifest import ConnectionSettings, ServiceSettings, Settings
from penstock.nodes import Catalogue
from penstock.service import running
from penstock.wire.v1 import execution_pb2 as execution


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(service=ServiceSettings(tokens=str(written(tmp_path / "tokens.toml"))))


async def test_who_calls_too_often_waits_and_others_do_not(
    settings: Settings, catalogue: Catalogue
) -> None:
    """20 calls come at once, whichever; of the rest each has to wait for its turn."""
    connections = ConnectionSettings(max_call_rate_per_peer=20)
    service = settings.service.model_copy(update={"connections": connections})
    order: list[str] = []
    flooded = asyncio.Event()

    async def version(wire: WireClient, token: str, name: str) -> grpc.StatusCode:
        call = wire.version(execution.VersionRequest(), **bearing(token))
        code: grpc.StatusCode = await call.code()
        order.append(name)
        if len(order) == 20:
            flooded.set()
        return code

    async with (
        running(Settings(service=service), "127.0.0.1:0", catalogue) as address,
        WireClient(address) as wire,
    ):
        flood = [asyncio.create_task(version(wire, ROBOT, "robot")) for _ in range(80)]
        await flooded.wait()
        assert await version(wire, OTHER, "other") is grpc.StatusCode.OK
        codes = Counter(await asyncio.gather(*flood))
    assert order.index("other") < 60
    assert codes[grpc.StatusCode.RESOURCE_EXHAUSTED] > 0  # those behind two seconds of turns
    assert codes[grpc.StatusCode.OK] >= 59
    assert codes.total() == 80
    await calls_ended()


async def test_calls_that_wait_to_be_refused_take_no_more_than_their_share(
    settings: Settings, catalogue: Catalogue
) -> None:
    """Nobody without a token keeps out who has one."""
    connections = ConnectionSettings(max_calls=10, max_calls_per_peer=5, max_call_rate_per_peer=2)
    service = settings.service.model_copy(update={"connections": connections})
    request = execution.VersionRequest()
    async with (
        running(Settings(service=service), "127.0.0.1:0", catalogue) as address,
        WireClient(address) as wire,
    ):
        waiting = {asyncio.create_task(status_of(wire.version(request))) for _ in range(30)}
        told: Counter[grpc.StatusCode] = Counter()
        while told.total() < 20:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            told.update(task.result()[0] for task in done)
        assert await status_of(wire.version(request, **bearing(MASTER))) == (
            grpc.StatusCode.OK,
            "",
        )
        assert waiting
        done, _ = await asyncio.wait(waiting)
        told.update(task.result()[0] for task in done)
    assert told.keys() == {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.RESOURCE_EXHAUSTED}
    await calls_ended()


async def test_who_calls_too_often_and_leaves_is_no_failure_in_the_log(
    settings: Settings, catalogue: Catalogue, caplog: pytest.LogCaptureFixture
) -> None:
    """gRPC would write a traceback for each; a client can give up thousands of calls a second."""
    connections = ConnectionSettings(max_call_rate_per_peer=20)
    service = settings.service.model_copy(update={"connections": connections})
    head = headers(more=[(b"authorization", b"Bearer " + MASTER.encode())])
    streams = range(1, 160, 2)  # all of which one connection may begin at once
    calls = b"".join(frame(HEADERS, END_HEADERS, stream, head) for stream in streams)
    given_up = b"".join(frame(RESET, 0, stream, (8).to_bytes(4, "big")) for stream in streams)
    async with (
        running(Settings(service=service), "127.0.0.1:0", catalogue) as address,
        connected(address) as (_, writer),
        WireClient(address) as wire,
    ):
        writer.write(HELLO + calls)
        async with asyncio.timeout(10):
            while "(max_call_rate_per_peer)" not in caplog.text:  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0.01)
        writer.write(given_up)
        assert await wire.version(execution.VersionRequest(), **bearing(OTHER))
    await calls_ended()
    told = {(one.name, one.levelno) for one in caplog.records if one.levelno > logging.WARNING}
    assert not told


async def test_an_answer_that_nobody_reads_counts_as_a_call(
    catalogue: Catalogue, caplog: pytest.LogCaptureFixture
) -> None:
    """Else who reads nothing has as many calls as all may have together."""
    service = ServiceSettings(connections=ConnectionSettings(max_calls_per_peer=1))
    request = execution.VersionRequest()
    async with running(Settings(service=service), "127.0.0.1:0", catalogue) as address:
        async with connected(address) as (reader, writer), WireClient(address) as wire:
            writer.write(CLOSED_HELLO)
            await until(reader, SETTINGS)
            writer.write(ACK + call() + message(b""))
            await until(reader, HEADERS)  # the answer is behind them
            await asyncio.sleep(0.1)
            code = await wire.version(request).code()
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        async with WireClient(address) as wire, asyncio.timeout(10):
            while await wire.version(request).code() is not grpc.StatusCode.OK:  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0.02)
    await calls_ended()
    assert "ExecuteBatchError" not in caplog.text
