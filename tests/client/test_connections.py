"""A client has as many connections as its calls need."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from unittest.mock import create_autospec

import grpc
import pytest
from wire_client import calls_ended

from penstock.client import Client, ClientOptions, transport
from penstock.client.transport import Connections, translated
from penstock.data import Text
from penstock.errors import ServiceError
from penstock.manifest import ConnectionSettings, ServiceSettings, Settings
from penstock.nodes import Catalogue
from penstock.service import running
from penstock.testing.processes import descriptors_of

MOST = 2
CALLS = 5
ECHO = {"version": "v1", "nodes": [{"id": "n0", "node_type": "EchoNode"}]}


async def echoed(client: Client, number: int, all_open: asyncio.Barrier) -> str:
    async with client.stream(ECHO) as stream:
        await all_open.wait()
        await stream.send("n0", Text(str(number)))
        async for output in stream.outputs():
            return str(output.value.text)
    raise AssertionError("nothing came")


async def test_more_calls_than_a_connection_may_have_are_served_at_once(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    """gRPC would keep them waiting for the end of others."""
    settings = Settings(service=ServiceSettings(connections=ConnectionSettings(max_streams=MOST)))
    async with (
        running(settings, f"unix:{tmp_path}/service", catalogue) as address,
        Client(address, ClientOptions(calls_per_connection=MOST)) as client,
    ):
        before = sockets()
        all_open = asyncio.Barrier(CALLS)
        async with asyncio.timeout(30):
            echoes = await asyncio.gather(*(echoed(client, n, all_open) for n in range(CALLS)))
            assert echoes == [str(number) for number in range(CALLS)]
            assert (await client.version()).compatible  # has room on one that is there
        assert len(client._connections._calls) == 3
        assert sockets() - before >= 2 * 3
        await calls_ended()
    assert not client._connections._calls


async def test_connections_that_are_needed_no_more_are_closed_but_for_the_first(
    catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "TIDY_S", 0.1)
    async with (
        running(Settings(), f"unix:{tmp_path}/service", catalogue) as address,
        Client(address, ClientOptions(calls_per_connection=1)) as client,
        asyncio.timeout(20),
    ):
        for _ in range(2):  # there are more again, where more are needed again
            all_open = asyncio.Barrier(3)
            await asyncio.gather(*(echoed(client, n, all_open) for n in range(3)))
            assert connected(address) >= 1
            while connected(address) > 1:  # gRPC tells nobody
                gc.collect()  # a call of its own keeps its connection, until it is collected
                await asyncio.sleep(0.05)
            assert len(client._connections._calls) == 1
        assert client._connections._tidying is None
        await calls_ended()


async def test_a_connection_that_has_a_call_stays_open(
    catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "TIDY_S", 0.02)
    tidied = create_autospec(Connections._tidy, side_effect=Connections._tidy)
    monkeypatch.setattr(Connections, "_tidy", tidied)
    async with (
        running(Settings(), f"unix:{tmp_path}/service", catalogue) as address,
        Client(address, ClientOptions(calls_per_connection=1)) as client,
        asyncio.timeout(20),
        client.stream(ECHO),
        client.stream(ECHO) as stream,
    ):
        looked = tidied.call_count
        while tidied.call_count < looked + 3:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.01)
        await stream.send("n0", Text("x"))
        async for output in stream.outputs():
            assert output.value == Text("x")
            break
    await calls_ended()


def connected(address: str) -> int:
    """How many connections a service's socket has, by the kernel's word."""
    known = Path("/proc/net/unix").read_text().splitlines()
    return sum(line.endswith(address.removeprefix("unix:")) for line in known) - 1


def sockets() -> int:
    return sum(target.startswith("socket:") for _, target in descriptors_of())


async def test_a_call_that_has_ended_makes_room_whatever_it_ended_with() -> None:
    connections = Connections("127.0.0.1:1", ClientOptions(calls_per_connection=1))
    for end in ("refused", "cancelled"):
        call = connections.call(lambda channel: channel.unary_unary("/a/b")(b""))
        if end == "cancelled":
            call.cancel()
        await asyncio.wait([asyncio.ensure_future(call.code())])
        await asyncio.sleep(0)
    assert list(connections._calls.values()) == [0]
    await connections.close()


async def test_a_call_that_can_not_begin_leaves_a_connection_to_the_next() -> None:
    def fail(_channel: object) -> None:
        raise ValueError("no call")

    connections = Connections("127.0.0.1:1", ClientOptions())
    for _ in range(2):
        with pytest.raises(ValueError, match="no call"):
            connections.call(fail)
    assert list(connections._calls.values()) == [0]
    await connections.close()


@pytest.mark.parametrize("most", [0, -1])
def test_a_connection_has_one_call_at_least(most: int) -> None:
    with pytest.raises(ValueError, match=f"calls_per_connection: expected 1 or more, got {most}"):
        ClientOptions(calls_per_connection=most)


def test_somebody_elses_deadline_is_not_the_calls() -> None:
    """A proxy may say so of what is behind it."""
    said = "upstream: Deadline Exceeded"
    nothing = grpc.aio.Metadata()
    with pytest.raises(ServiceError) as caught, translated():
        raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, nothing, nothing, said)
    assert (str(caught.value), caught.value.error_type) == (said, "UNAVAILABLE")
