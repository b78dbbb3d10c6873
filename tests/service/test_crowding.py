"""Room for newcomers, whatever others do with their connections."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
from wire_client import CLOSE, WireClient, calls_ended, chunk, init, kinds, pipeline, rest

from bench.rpc.http2 import HEAD_BYTES, HELLO
from penstock.manifest import ConnectionSettings, ServiceSettings, Settings
from penstock.nodes import Catalogue
from penstock.service import running
from penstock.service.crowding import Crowd, first_to_leave
from penstock.wire.v1 import execution_pb2 as execution

MOST = 12
KEPT_FREE = 3
STRANGER = "127.0.1.1"


@dataclass
class Guest:
    """A connection that does nothing; ``number`` says how old it is."""

    number: int
    address: str
    has_called: bool = False
    is_used: bool = False
    gone: bool = False

    def abort(self) -> None:
        self.gone = True


def leaving(addresses: str, count: int, *callers: int) -> list[int]:
    those = [Guest(n, address, n in callers) for n, address in enumerate(addresses)]
    return [one.number for one in first_to_leave(those, count)]


def test_the_oldest_of_whom_there_are_most_leave_first() -> None:
    assert leaving("abbabbc", 2) == [1, 2]
    assert set(leaving("abbabbc", 4)) == {0, 1, 2, 4}
    assert 6 not in leaving("abbabbc", 5)


def test_who_has_called_stays_longer_than_others_of_the_same_address() -> None:
    assert leaving("aaa", 3, 0) == [1, 2, 0]


def test_no_more_leave_than_there_are() -> None:
    assert leaving("", 5) == []
    assert leaving("a", 5) == [0]


def test_nobody_leaves_who_has_a_call_nor_while_there_is_room() -> None:
    crowd = Crowd(8)
    guests = [Guest(number, "a", is_used=number == 0) for number in range(5)]
    crowd.make_room(guests)
    assert not any(one.gone for one in guests)
    guests.append(Guest(5, "a"))
    crowd.make_room(guests)
    assert [one.number for one in guests if one.gone] == [1]
    crowd.make_room([Guest(number, "a", is_used=True) for number in range(8)])


@contextlib.asynccontextmanager
async def serving(host: str) -> AsyncIterator[str]:
    """A service that nothing but a crowd makes close a connection."""
    limits = ConnectionSettings(max_connections=MOST, handshake_timeout_secs=600)
    settings = Settings(service=ServiceSettings(connections=limits))
    async with running(settings, f"{host}:0", Catalogue.installed()) as address:
        yield address
    await calls_ended()


async def half_open(address: str, stack: AsyncExitStack) -> asyncio.StreamReader:
    """A connection of a stranger, which the service has taken, and that never makes a call."""
    port = int(address.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(STRANGER, 0))
    stack.callback(writer.close)
    writer.write(HELLO)
    await reader.readexactly(HEAD_BYTES)
    return reader


async def is_served(wire: WireClient) -> bool:
    found = await wire.version(execution.VersionRequest(), wait_for_ready=True)
    return bool(found.compatible)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::]"])
async def test_a_crowd_keeps_nobody_out_and_ends_no_call(
    host: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with serving(host) as listening, AsyncExitStack() as stack:
        address = f"127.0.0.1:{listening.rpartition(':')[2]}"
        busy = await stack.enter_async_context(WireClient(address, alone=True))
        quiet = await stack.enter_async_context(WireClient(address, alone=True))
        stream = busy.stream()
        await stream.write(init(pipeline("PassThrough")))
        while not (await stream.read()).HasField("ready"):
            continue
        assert await is_served(quiet)
        crowd = [await half_open(address, stack) for _ in range(MOST - 2)]

        await asyncio.gather(*(reader.read() for reader in crowd[: KEPT_FREE - 1]))
        newcomer = await stack.enter_async_context(WireClient(address, alone=True))
        assert await is_served(newcomer)

        assert await is_served(quiet)
        await stream.write(chunk("a"))
        await stream.write(CLOSE)
        assert "closed" in kinds(await rest(stream))
    assert "connections crowd" in caplog.text
