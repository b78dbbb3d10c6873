"""No client ends the service: not with what gRPC's own server can't take."""

from __future__ import annotations

import asyncio
import logging
import os
import weakref
from pathlib import Path

import grpc
import pytest
from certificates import Authority
from wire_client import CLOSE, WireClient, calls_ended, chunk, init, kinds, pipeline, rest

from bench.rpc.http2 import GOAWAY, HEADERS, HELLO, call, connected, message, until
from penstock.manifest import ServiceSettings, Settings, TlsSettings
from penstock.nodes import Catalogue
from penstock.service import running
from penstock.service.address import parse_address
from penstock.service.listening import Listener
from penstock.wire.v1 import execution_pb2 as execution

NO_TEXT = b"/a\xff\xfe/b"
CUT_OFF = (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)


async def broken(address: str) -> None:
    """Call a method whose name is no text; the server says that it leaves."""
    async with connected(address) as (reader, writer):
        writer.write(HELLO + call(NO_TEXT))
        await until(reader, GOAWAY)


async def versions(address: str) -> bool:
    """Whether a new client is served; one that the broken server still let in has to come again."""
    request = execution.VersionRequest()
    for _ in range(20):
        async with WireClient(address) as wire:
            try:
                return bool((await wire.version(request, wait_for_ready=True)).compatible)
            except grpc.aio.AioRpcError as exc:
                if exc.code() not in CUT_OFF:
                    raise
    return False


@pytest.mark.parametrize("where", ["127.0.0.1:0", "unix:service.sock"])
async def test_a_method_without_a_name_ends_no_call_and_no_service(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    serving = running(Settings(), where, Catalogue.installed())
    async with serving as address, WireClient(address) as wire:
        stream = wire.stream()
        await stream.write(init(pipeline("EchoNode")))
        while not (await stream.read()).HasField("ready"):
            continue
        for _ in range(3):
            await broken(address)
            assert await versions(address)
        await stream.write(chunk("x"))
        await stream.write(CLOSE)
        assert "result" in kinds(await rest(stream))
    assert caplog.text.count("listening anew") == 1
    assert [one.name for one in caplog.records if "codec" in one.getMessage()] == []
    assert not os.listdir(tmp_path)
    await calls_ended()


async def test_nothing_is_left_of_one_whose_calls_have_ended() -> None:
    """Anybody can break as many as he likes."""
    made, gone = asyncio.Semaphore(0), asyncio.Semaphore(0)

    def make() -> grpc.aio.Server:
        server = grpc.aio.server()
        weakref.finalize(server, gone.release)
        made.release()
        return server

    listener = Listener(make, parse_address("127.0.0.1:0"), None)
    address = await listener.start()
    await made.acquire()
    async with asyncio.timeout(20):
        for _ in range(10):
            await broken(address)
            await made.acquire()
            await gone.acquire()
    await listener.stop(0)


async def test_one_that_is_broken_stops_with_its_calls() -> None:
    """The service ends while a server that it has replaced still has a call."""
    async with running(Settings(), "127.0.0.1:0", Catalogue.installed()) as address:
        wire = WireClient(address)
        stream = wire.stream()
        await stream.write(init(pipeline("EchoNode")))
        while not (await stream.read()).HasField("ready"):
            continue
        await broken(address)
        assert await versions(address)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await rest(stream)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    await wire.__aexit__()
    await calls_ended()


async def test_it_listens_anew_with_its_certificate(tmp_path: Path) -> None:
    authority = Authority("ours")
    certificate, key = authority.issue("service").write(tmp_path, "service")
    tls = TlsSettings(certificate=certificate, key=key)
    settings = Settings(service=ServiceSettings(tls=tls))
    trusted = grpc.ssl_channel_credentials(authority.pair.certificate)
    async with running(settings, "127.0.0.1:0", Catalogue.installed()) as address:
        await broken_over_tls(address, authority)
        async with grpc.aio.secure_channel(address, trusted) as channel:
            version = channel.unary_unary("/remotemedia.v1.PipelineExecutionService/GetVersion")
            assert await version(b"", wait_for_ready=True)
    await calls_ended()


async def broken_over_tls(address: str, authority: Authority) -> None:
    context = authority.client_context()
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
    writer.write(HELLO + call(NO_TEXT))
    await until(reader, GOAWAY)
    writer.transport.abort()  # gRPC's end of TLS would be waited for


async def test_what_a_client_sends_as_its_token_is_never_logged(
    service: str, caplog: pytest.LogCaptureFixture
) -> None:
    """gRPC would log a value that is no text, whole."""
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
