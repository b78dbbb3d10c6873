"""Interrupts by the client of a stream whose inputs wait for room: at the service, or here."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from attaching import chain
from wire_client import calls_ended

from penstock.client import Client, ClientOptions, Stream
from penstock.client.interrupts import Asked, Interrupts
from penstock.data import Text
from penstock.manifest import ServiceSettings, Settings, digest_of, new_token
from penstock.nodes import Catalogue
from penstock.service import running
from penstock.session import Interruption

NODES = str(Path(__file__).parents[1] / "session" / "graph_nodes.py")
LARGE = "x" * 3_000_000


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
        self.told: list[Interruption] = []
        self.stream: Stream = client.stream(manifest, on_interrupt=self.told.append)
        self.sent = 0

    async def send(self, count: int) -> None:
        for _ in range(count):
            await self.stream.send("n0", Text(f"{self.sent} {LARGE}"))
            self.sent += 1

    async def send_small(self, count: int) -> None:
        for number in range(count):
            await self.stream.send("n0", Text(f"{number} {LARGE[:1000]}"))

    async def until_it_waits(self) -> None:
        """Nothing more goes."""
        before = -1
        while before != self.sent:
            before = self.sent
            await asyncio.sleep(0.2)

    async def rest(self, sending: asyncio.Task[None]) -> list[str]:
        """The first word of everything that comes out, once the gate is open."""

        async def close() -> None:
            await sending
            await self.stream.close()

        await self.open()
        closing = asyncio.create_task(close())
        values = [output.value async for output in self.stream.outputs()]
        await closing
        return [value.text.partition(" ")[0] for value in values if isinstance(value, Text)]

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


async def test_one_that_is_given_up_as_it_overtakes_in_vain_leaves_the_next_its_answer() -> None:
    """The service had read up to its place, and this client never came to write it."""
    trying, late = asyncio.Event(), asyncio.Event()

    async def write(asked: Asked) -> None:
        if not late.is_set():
            await asyncio.Event().wait()
        asked.place, asked.is_sent = 1, True

    async def overtake(_node_id: str | None, _place: int) -> bool:
        trying.set()
        await late.wait()
        return False

    interrupts = Interrupts(write, overtake, lambda: 1)
    first = asyncio.create_task(interrupts.ask("n0"))
    await trying.wait()
    first.cancel()
    await asyncio.wait([first])
    late.set()
    second = asyncio.create_task(interrupts.ask("n0"))
    await asyncio.sleep(0.1)
    said = Interruption("n0", None, 1)
    interrupts.note(said)
    async with asyncio.timeout(10):
        assert await second == said
    await interrupts.aclose()


async def test_an_interrupt_overtakes_what_waits_for_room(gated: Gated) -> None:
    """Neither the service nor this client could take another message of the stream."""
    sending = asyncio.create_task(gated.send(30))
    await gated.until_it_waits()
    begun = gated.sent
    async with asyncio.timeout(10):
        assert await gated.stream.interrupt() == Interruption(None, None, 1, ("n1",))
    assert await gated.rest(sending) == [str(number) for number in range(begun + 1, 30)]
    assert len(gated.told) == 1


@pytest.mark.parametrize("node_id", [None, "n0"])
async def test_an_interrupt_overtakes_what_has_yet_to_be_read(
    gated: Gated, node_id: str | None
) -> None:
    """It has been written itself: the service is read ahead as far as it may, and a little more."""
    await gated.send_small(720)
    async with asyncio.timeout(10):
        said = await gated.stream.interrupt(node_id)
    assert said == Interruption(node_id, None, 1, ("n1",))
    new = asyncio.create_task(gated.stream.send("n0", Text("new")))
    came = await gated.rest(new)
    assert came[-1] == "new"
    assert len(came) == 1 or node_id is not None
    assert gated.told == [said]  # the one on the stream was this


async def test_who_may_not_attach_waits_for_the_stream(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    token = new_token()
    tokens = tmp_path / "tokens.toml"
    methods = 'methods = ["StreamPipeline"]'
    tokens.write_text(f'[tokens.robot]\nsha256 = "{digest_of(token)}"\n{methods}\n')
    tokens.chmod(0o600)
    settings = Settings(service=ServiceSettings(tokens=str(tokens)))
    async with (
        running(settings, "127.0.0.1:0", catalogue) as address,
        Client(address, ClientOptions(token=token)) as client,
    ):
        gated = Gated(client, tmp_path / "gate")
        async with gated.stream:
            await gated.send_small(720)
            interrupting = asyncio.create_task(gated.stream.interrupt())
            _, waiting = await asyncio.wait([interrupting], timeout=0.5)
            assert waiting
            await gated.open()
            assert (await interrupting).epoch == 1
    await calls_ended()
