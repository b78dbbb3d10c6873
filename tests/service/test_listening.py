"""Where a service listens, and that nothing which a client says there ends it."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from pathlib import Path

import pytest
from wire_client import CLOSE, WireClient, calls_ended, chunk, init, kinds, pipeline, rest

from bench.rpc.http2 import HEADERS, HELLO, call, connected, message, until
from penstock.errors import ConfigurationError
from penstock.manifest import Settings
from penstock.nodes import Catalogue
from penstock.service import running
from penstock.service.address import parse_address
from penstock.service.listening import listening_at
from penstock.wire.v1 import execution_pb2 as execution

NO_TEXT = b"/a\xff\xfe/b"
UNIMPLEMENTED = b"grpc-status\x0212"


@pytest.mark.parametrize("where", ["127.0.0.1:0", "unix:service.sock"])
async def test_a_method_without_a_name_ends_no_call_and_no_service(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    serving = running(Settings(), where, Catalogue.installed())
    async with serving as address, WireClient(address) as wire:
        stream = wire.stream()
        await stream.write(init(pipeline("EchoNode")))
        while not (await stream.read()).HasField("ready"):
            continue
        for _ in range(3):
            async with connected(address) as (reader, writer):
                writer.write(HELLO + call(NO_TEXT))
                assert UNIMPLEMENTED in await until(reader, HEADERS)
            assert (await wire.version(execution.VersionRequest())).compatible
        await stream.write(chunk("x"))
        await stream.write(CLOSE)
        assert "result" in kinds(await rest(stream))
    assert not os.listdir(tmp_path)
    await calls_ended()


async def test_what_a_client_sends_as_its_token_is_never_logged(
    service: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = (b"authorization", b"Bearer pst_secret\xff")
    async with connected(service) as (reader, writer):
        writer.write(HELLO + call(more=[secret]) + message(b""))
        assert b"grpc-status" in await ended(reader)
    assert "pst_secret" not in caplog.text


async def ended(reader: asyncio.StreamReader) -> bytes:
    """The headers that end a call: the second of them."""
    first = await until(reader, HEADERS)
    return first if b"grpc-status" in first else await until(reader, HEADERS)


def bound(where: str) -> tuple[set[tuple[int, str]], set[int]]:
    """The families and hosts that are listened at, and their ports."""
    sockets, address = listening_at(parse_address(where))
    try:
        assert {one.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) for one in sockets} == {0}
        ports = {one.getsockname()[1] for one in sockets}
        assert ports == {address.port}
        return {(one.family, one.getsockname()[0]) for one in sockets}, ports
    finally:
        for one in sockets:
            one.close()


def test_a_name_is_listened_at_by_all_that_it_stands_for_at_one_port() -> None:
    names = {found[4][0] for found in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
    found, _ = bound("localhost:0")
    assert {host for _, host in found} == names


def test_all_of_ipv6_are_all_of_ipv4_too() -> None:
    found, _ = bound("[::]:0")
    assert found == {(socket.AF_INET6, "::")}


def test_a_port_that_somebody_has_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match="is another service there"):
            listening_at(parse_address(f"127.0.0.1:{port}"))
        with pytest.raises(ConfigurationError, match="is another service there"):
            listening_at(parse_address(f"localhost:{port}"))
