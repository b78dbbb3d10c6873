"""The load generator's own HTTP/2, against a real gRPC server."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter

import pytest

from bench.load.connection import Connection
from bench.load.generator import CHUNK_S, Load
from bench.rpc.echo import SERVICE, STREAM
from bench.rpc.servers import ECHO, server
from penstock.wire.v1.common_pb2 import DataBuffer, TextBuffer

PATH = f"/{SERVICE}/{STREAM}"
WAIT_S = 20.0


@pytest.fixture
def echo() -> Iterator[str]:
    with server(*ECHO) as address:
        yield address


@pytest.fixture
def connection(echo: str) -> Iterator[Connection]:
    host, _, port = echo.rpartition(":")
    connection = Connection(host, int(port))
    yield connection
    connection.close()


def message(size: int, mark: int) -> bytes:
    """A ``DataBuffer`` of some ``size``."""
    text = bytes([97 + mark % 26]) * size
    return DataBuffer(text=TextBuffer(text_data=text)).SerializeToString()


def received(connection: Connection, count: int) -> dict[int, list[bytes]]:
    """So many messages, by their streams; fewer where they don't come in time."""
    came: dict[int, list[bytes]] = {}
    until = perf_counter() + WAIT_S
    while sum(map(len, came.values())) < count and perf_counter() < until:
        for stream, content in connection.receive(until):
            came.setdefault(stream, []).append(content)
    return came


def test_messages_come_back_whole_and_in_order_on_their_own_streams(connection: Connection) -> None:
    sent: dict[int, list[bytes]] = {connection.call(PATH): [] for _ in range(20)}
    for number, size in enumerate((0, 1, 100, 9_000, 16_000) * 4):
        for stream, messages in sent.items():
            messages.append(message(size, number + stream))
            connection.send(stream, messages[-1])
    assert received(connection, 20 * 20) == sent


def test_more_than_the_server_has_room_for_waits_its_turn(connection: Connection) -> None:
    """Ten times the window that a connection begins with, all at once."""
    stream = connection.call(PATH)
    messages = [message(1_000, number) for number in range(650)]
    for one in messages:
        connection.send(stream, one)
    assert received(connection, len(messages)) == {stream: messages}


def test_a_call_that_the_server_ends_is_an_error(connection: Connection) -> None:
    connection.send(connection.call("/no.such.Service/Method"), b"")
    with pytest.raises(ConnectionError, match="ended stream 1"):
        received(connection, 1)


def test_how_late_results_are_is_known_of_all_but_the_first_quarter(connection: Connection) -> None:
    late_s = Load(connection, "echo", 3).late_s(8)
    assert len(late_s) == 18
    assert all(0 < late < WAIT_S for late in late_s)


def test_a_result_that_never_comes_is_as_late_as_can_be(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Load(connection, "echo", 1)
    monkeypatch.setattr(connection, "send", lambda *_: None)
    began = perf_counter()
    assert load.late_s(4) == [1.0] * 3
    assert perf_counter() - began > 4 * CHUNK_S
