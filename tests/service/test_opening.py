"""Who sends the half of a first message takes little, for a while, and from nobody else."""

from __future__ import annotations

import asyncio
import ctypes
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from bearers import OTHER, ROBOT, bearing, written
from half_sender import half_sending
from wire_client import WireClient, calls_ended, init, pipeline

from penstock.manifest import ConnectionSettings, ServiceSettings, Settings
from penstock.nodes import Catalogue
from penstock.service import opening, running
from penstock.service.opening import SMALL_BYTES, Openings, SlowOpeningError
from penstock.service.reflection import SERVICES
from penstock.wire.methods import (
    ATTACH,
    CHECK_HEALTH,
    EXECUTE_PIPELINE,
    GET_VERSION,
    PLAN_PIPELINE,
    STREAM_PIPELINE,
)
from penstock.wire.v1 import execution_pb2 as execution

MIB = 1 << 20
READING_BYTES = 16 * MIB
"""What gRPC may keep to read into for a connection: it was 10 MiB after fast ones."""
METHODS = (ATTACH, CHECK_HEALTH, EXECUTE_PIPELINE, GET_VERSION, PLAN_PIPELINE, STREAM_PIPELINE)
REFLECTION = f"/{SERVICES[0]}/ServerReflectionInfo"


class _MallInfo(ctypes.Structure):
    """``struct mallinfo2``: ten numbers, of which the fifth and the eighth are in use."""

    _fields_ = [(f"n{number}", ctypes.c_size_t) for number in range(10)]


def taken_bytes() -> int:
    """What this process has taken of its allocator: it may keep what is free for later."""
    mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo is None:
        pytest.skip("this library of C doesn't tell")
    mallinfo.restype = _MallInfo
    found = mallinfo()
    return int(found.n4 + found.n7)


async def has_let_go(before: int) -> None:
    async with asyncio.timeout(10):
        while taken_bytes() - before > READING_BYTES:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.02)


def serving(**connections: Any) -> Settings:
    return Settings(service=ServiceSettings(connections=ConnectionSettings(**connections)))


@pytest.mark.parametrize("path", [*(method.path for method in METHODS), REFLECTION])
async def test_half_a_first_message_is_ended_and_let_go_of(catalogue: Catalogue, path: str) -> None:
    async with running(serving(first_message_secs=2), "127.0.0.1:0", catalogue) as address:
        before = taken_bytes()
        async with half_sending(address, path.encode(), 64 * MIB, 60 * MIB) as (sender, hearing):
            async with asyncio.timeout(20):
                answer = await hearing
            assert sender.sent > 40 * MIB  # it was being read
            assert b"grpc-status\x014" in answer  # DEADLINE_EXCEEDED
            assert b"no first message came for 2 s, or not all of it" in answer
            await has_let_go(before)  # while its connection is there
    await calls_ended()


async def test_few_are_read_at_a_time_and_others_are_served(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    """Of eight calls six have no more than a window; another caller notices nothing."""
    settings = Settings(
        service=ServiceSettings(
            tokens=str(written(tmp_path / "tokens.toml")),
            connections=ConnectionSettings(max_openings_per_peer=2),
        )
    )
    path, token = STREAM_PIPELINE.path.encode(), b"Bearer " + ROBOT.encode()
    async with running(settings, "127.0.0.1:0", catalogue) as address, AsyncExitStack() as stack:
        before = taken_bytes()
        senders = [
            await stack.enter_async_context(
                half_sending(address, path, 64 * MIB, 60 * MIB, [(b"authorization", token)])
            )
            for _ in range(8)
        ]
        async with asyncio.timeout(20):
            while sum(one.sent == 60 * MIB for one, _ in senders) < 2:  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)
        assert sum(one.sent > 5 * MIB for one, _ in senders) == 2
        most = 2 * (60 * MIB + READING_BYTES) + (8 * 5 + 8) * MIB
        assert taken_bytes() - before < most
        async with WireClient(address) as wire:
            call = wire.stream(**bearing(OTHER))
            await call.write(init(pipeline("NoSuchNode")))
            assert (await call.read()).HasField("error")
            assert await wire.version(execution.VersionRequest(), **bearing(ROBOT))
        assert not any(hearing.done() for _, hearing in senders)
    await calls_ended()


async def test_a_burst_of_two_hundred_streams_is_served_in_turn(
    catalogue: Catalogue,
) -> None:
    """With the fewest turns that there can be."""
    settings = serving(max_openings_per_peer=1, max_openings=1)

    async def opened(wire: WireClient) -> str:
        call = wire.stream()
        await call.write(init(pipeline("NoSuchNode")))
        response = await call.read()
        await call.done_writing()
        assert await call.code() is grpc.StatusCode.OK
        return str(response.error.message)

    async with (
        running(settings, "127.0.0.1:0", catalogue) as address,
        WireClient(address, alone=True) as one,
        WireClient(address, alone=True) as other,
    ):
        burst = [opened(wire) for wire in (one, other) for _ in range(100)]
        answers = Counter(await asyncio.gather(*burst))
    assert answers.total() == 200
    assert all("NoSuchNode" in answer for answer in answers)
    await calls_ended()


async def test_small_requests_that_are_half_sent_keep_none_of_their_caller_waiting_for_long(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come from one address; the newest has the next turn."""
    monkeypatch.setattr(opening, "FAIR_S", 0.5)
    path = GET_VERSION.path.encode()
    async with running(serving(), "127.0.0.1:0", catalogue) as address, AsyncExitStack() as stack:
        senders = [
            await stack.enter_async_context(half_sending(address, path, 64 * MIB, MIB))
            for _ in range(40)
        ]
        while any(one.sent < MIB for one, _ in senders):  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.02)
        async with WireClient(address) as wire, asyncio.timeout(10):
            assert await wire.version(execution.VersionRequest())
        assert not all(hearing.done() for _, hearing in senders)
    await calls_ended()


@pytest.mark.parametrize("method", [GET_VERSION, CHECK_HEALTH])
async def test_a_request_for_next_to_nothing_is_small(service: str, method: Any) -> None:
    async with grpc.aio.insecure_channel(service) as channel:
        call: Any = channel.unary_unary(method.path)(b"\x0a" + bytes(SMALL_BYTES))
        assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert f"of at most {SMALL_BYTES} bytes, but {SMALL_BYTES + 1}" in await call.details()


class Call:
    """A call of somebody whose first message comes when it is set."""

    def __init__(self, host: str) -> None:
        self.first: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.is_read = False
        self._host = host

    def peer(self) -> str:
        return f"ipv4:{self._host}:1"

    def auth_context(self) -> Mapping[str, Any]:
        return {}

    async def read(self) -> str:
        self.is_read = True
        return await self.first


def begun(openings: Openings, call: Call) -> asyncio.Task[Any]:
    return asyncio.create_task(openings.read(call))  # type: ignore[arg-type]  # it is enough of one


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_callers_own_wait_in_their_order() -> None:
    openings = Openings(2, 10, 60)
    calls = [Call("a") for _ in range(5)]
    tasks = [begun(openings, call) for call in calls]
    await settled()
    assert [call.is_read for call in calls] == [True, True, False, False, False]
    calls[1].first.set_result("x")
    assert await tasks[1] == "x"
    tasks[2].cancel()  # its client has left
    await settled()
    assert [call.is_read for call in calls] == [True, True, False, True, False]
    for call in calls:
        call.first.done() or call.first.set_result("y")
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (await begun(openings, calls[0])) == "y"


async def test_who_says_nothing_makes_room_for_its_callers_next_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(opening, "OWN_FAIR_S", 0.2)
    openings = Openings(2, 10, 60)
    silent, waiting = [Call("a") for _ in range(2)], Call("a")
    tasks = [begun(openings, call) for call in silent]
    late = begun(openings, waiting)
    await asyncio.sleep(0.05)
    assert not waiting.is_read
    with pytest.raises(SlowOpeningError, match="max_openings_per_peer"):
        await tasks[0]
    await settled()
    assert waiting.is_read
    for call in (silent[1], waiting):
        call.first.set_result("z")
    assert await asyncio.gather(tasks[1], late) == ["z"] * 2


async def test_who_has_most_makes_room_for_who_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(opening, "FAIR_S", 0.05)
    openings = Openings(3, 4, 60)
    held, single = [Call("a") for _ in range(3)], Call("b")
    tasks = [begun(openings, call) for call in (*held, single)]
    await settled()
    newcomer, waiting = Call("c"), Call("a")
    new = begun(openings, newcomer)
    own = begun(openings, waiting)
    with pytest.raises(SlowOpeningError, match=r"others waited \(max_openings") as caught:
        await tasks[0]
    assert caught.value.ending.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    await settled()
    assert newcomer.is_read
    assert not waiting.is_read
    await asyncio.sleep(0.2)
    assert not any(task.done() for task in (*tasks[1:], new, own))  # two and one: that is fair
    for call in (*held, single, newcomer, waiting):
        call.first.done() or call.first.set_result("z")
    assert await asyncio.gather(*tasks[1:], new, own) == ["z"] * 5
