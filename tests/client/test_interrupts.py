"""Interrupts by the client of a stream whose inputs wait for room."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from attaching import chain

from penstock.client import Client, Stream
from penstock.data import Text
from penstock.nodes import Catalogue
from penstock.session import Interruption

pytestmark = pytest.mark.leaves("descriptors")  # gRPC's, which it makes when it wants
NODES = str(Path(__file__).parents[1] / "session" / "graph_nodes.py")
LARGE = Text("x" * 3_000_000)


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue.installed().extended("penstock.testing.faults", NODES)


class Gated:
    """A stream into a node at a gate, with a sender that waits for room."""

    def __init__(self, client: Client, gate: Path) -> None:
        os.mkfifo(gate)
        self._gate = gate
        params = {"path": str(gate)}
        manifest = chain("gated", "PassThrough", params=params, channel_capacity=1)
        self.stream: Stream = client.stream(manifest)
        self.sent = 0

    async def send(self, count: int) -> None:
        for _ in range(count):
            await self.stream.send("n0", LARGE)
            self.sent += 1

    async def until_it_waits(self) -> None:
        """Nothing more goes."""
        before = -1
        while before != self.sent:
            before = self.sent
            await asyncio.sleep(0.2)

    async def open(self) -> None:
        await asyncio.to_thread(lambda: os.close(os.open(self._gate, os.O_WRONLY)))


@pytest.fixture
async def gated(client: Client, tmp_path: Path) -> AsyncIterator[Gated]:
    made = Gated(client, tmp_path / "gate")
    async with made.stream:
        yield made


async def test_an_interrupt_that_is_given_up_leaves_the_next_its_answer(gated: Gated) -> None:
    sending = asyncio.create_task(gated.send(30))
    await gated.until_it_waits()
    interrupting = asyncio.create_task(gated.stream.interrupt())
    await asyncio.sleep(0)
    interrupting.cancel()
    await asyncio.wait([interrupting])
    assert interrupting.cancelled()
    await gated.open()
    outputs = gated.stream.outputs()
    for _ in range(30):
        await anext(outputs)
    await sending
    async with asyncio.timeout(10):
        assert await gated.stream.interrupt() == Interruption(None, None, 1, ("n1",))
