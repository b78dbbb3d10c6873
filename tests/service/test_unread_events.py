"""A client that is attached and doesn't read: what waits for it is bounded, and still holds."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
from bus_client import HOUR_MS, MIXED, NODES, PASS, Attached, Streaming, at, attached, hello
from wire_client import WireClient, chunk

from penstock.nodes import Catalogue
from penstock.service.events import INTERRUPTS_KEPT
from penstock.testing import ProcessTree
from penstock.wire.v1 import control_pb2 as pb

FILLER = "x" * 3_000_000
"""More than gRPC takes for a client that doesn't read."""


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue.installed().extended("penstock.testing.faults", NODES)


@pytest.fixture
async def stream(wire: WireClient) -> AsyncIterator[Streaming]:
    call = wire.stream()
    one = Streaming(call)
    await one.begin(*MIXED)
    yield one
    call.cancel()


class Unread(Attached):
    """An attachment that has frames obeyed and, after one large output, reads nothing."""

    def __init__(self, call: Any, stream: Streaming) -> None:
        super().__init__(call)
        self._stream = stream
        self.interrupts = 0

    async def open(self, other: Attached) -> None:
        """The service can't write anything behind the output, which it writes to another too."""
        await self.call.write(hello(self._stream.session_id))
        await self.event("attached")
        await self.send(subscribe=pb.Subscribe(addr=at("n1")))
        await self.obeyed()
        await other.do(subscribe=pb.Subscribe(addr=at("n1")))  # the node has heeded both
        assert await self._stream.said(FILLER) == [FILLER]
        assert await other.tapped() == FILLER  # so this one's is being written

    async def obeyed(self) -> None:
        """Until the service has obeyed all frames: the stream hears of an interrupt behind them."""
        self.interrupts += 1
        await self.send(interrupt=pb.Interrupt(node_id="n2"))
        while (response := await self._stream.call.read()).WhichOneof("response") != "interrupted":
            assert response.WhichOneof("response") == "metrics", response
        assert response.interrupted.epoch == self.interrupts

    async def told(self) -> list[int]:
        """The interrupts that it is told of, up to the last."""
        epochs = [0]
        while epochs[-1] != self.interrupts:
            epochs.append((await self.event("interrupted")).epoch)
        return epochs[1:]


@pytest.fixture
async def unread(service: str, stream: Streaming, wire: WireClient) -> AsyncIterator[Unread]:
    async with WireClient(service, narrow=True) as narrow:
        one = Unread(narrow.attach(), stream)
        async with attached(wire, stream.session_id) as other:
            await one.open(other)
        yield one


async def test_an_output_that_is_intercepted_anew_is_asked_about_once(
    unread: Unread, stream: Streaming, wire: WireClient
) -> None:
    """Each frame takes the place of the one before, with the output that waits."""
    intercept = pb.Intercept(addr=at("n1"), deadline_ms=HOUR_MS)
    async with attached(wire, stream.session_id) as other:
        await unread.send(intercept=intercept)
        await unread.obeyed()
        await other.do(subscribe=pb.Subscribe(addr=at("n1")))  # the node has heeded both
        before = len(asyncio.all_tasks())
        await stream.call.write(chunk("x"))
        assert await other.tapped() == "x"
        for _ in range(10):
            for _ in range(10):
                await unread.send(intercept=intercept)
            await unread.obeyed()
        await other.do(subscribe=pb.Subscribe(addr=at("n1")))  # it has heeded all of them
        assert len(asyncio.all_tasks()) - before < 10
    request = await unread.event("intercept_request")
    reply = pb.InterceptReply(correlation_id=request.correlation_id, decision=PASS)
    await unread.send(intercept_reply=reply)
    assert await stream.heard() == "x"
    await unread.refused()
    assert not any(event.HasField("intercept_request") for event in unread.events)


async def test_taps_that_come_and_go_leave_nothing_that_waits(
    unread: Unread, stream: Streaming, wire: WireClient
) -> None:
    async with attached(wire, stream.session_id) as other:
        await other.do(subscribe=pb.Subscribe(addr=at("n1")))
        before = len(asyncio.all_tasks())
        for number in range(20):
            await unread.send(unsubscribe=pb.Unsubscribe(addr=at("n1")))
            await unread.send(subscribe=pb.Subscribe(addr=at("n1")))
            await unread.obeyed()
            assert await stream.said(str(number)) == [str(number)]
            assert await other.tapped() == str(number)
        assert len(asyncio.all_tasks()) - before < 10
    assert await unread.tapped() == FILLER
    assert await unread.tapped() == "19"


async def test_of_too_many_interrupts_the_latest_are_told(unread: Unread) -> None:
    for _ in range(INTERRUPTS_KEPT + 10):
        await unread.obeyed()
    told, last = await unread.told(), unread.interrupts
    soon = len(told) - INTERRUPTS_KEPT  # written before the output: mostly one
    assert told == [*range(1, soon + 1), *range(last - INTERRUPTS_KEPT + 1, last + 1)]


async def test_frames_that_a_host_has_not_heeded_hold_few_descriptors(
    unread: Unread, stream: Streaming
) -> None:
    """Each subscription lays a lane, whose end waits until the host takes it."""
    hosts = [one.pid for one in ProcessTree(os.getpid()).named("penstock-host")]
    before = len(os.listdir("/proc/self/fd"))
    try:
        for pid in hosts:
            os.kill(pid, signal.SIGSTOP)
        for _ in range(500):
            await unread.send(unsubscribe=pb.Unsubscribe(addr=at("n1")))
            await unread.send(subscribe=pb.Subscribe(addr=at("n1")))
        most = len(os.listdir("/proc/self/fd"))
    finally:
        for pid in hosts:
            os.kill(pid, signal.SIGCONT)
    await unread.obeyed()
    assert most - before < 100
