"""Who attaches and doesn't even read that he is attached keeps nothing of what is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from bus_client import Streaming, hello
from closed_window import CLOSED_HELLO, unended
from wire_client import WireClient, calls_ended

from bench.rpc.http2 import ACK, SETTINGS, call, connected, until
from penstock.manifest import Settings
from penstock.nodes import Catalogue
from penstock.service import control, events, running
from penstock.service.observing import Nobody
from penstock.session.observing import CallWatch, Metadata
from penstock.wire.methods import ATTACH

PATH = f"/{ATTACH.service}/{ATTACH.name}"


class Attachments(Nobody):
    """Knows when one has begun and when one has ended."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.over = asyncio.Event()

    def call_began(self, method: str, metadata: Metadata) -> CallWatch:
        if method != PATH:
            return super().call_began(method, metadata)
        self.begun.set()
        return self

    def ended(self, _code: str) -> None:
        self.over.set()


@pytest.fixture
def attachments() -> Attachments:
    return Attachments()


@pytest.fixture
async def service(
    attachments: Attachments, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[str]:
    for module in (control, events):
        monkeypatch.setattr(module, "LAST_EVENTS_S", 0.2)
    patient = {"keepalive_timeout_secs": 60}  # with a client that answers no ping
    settings = Settings.model_validate({"service": {"connections": patient}})
    async with running(settings, "127.0.0.1:0", catalogue, attachments) as address:
        yield address
    await calls_ended()


@pytest.mark.parametrize("is_gone", [False, True])
async def test_it_ends_with_its_session(
    service: str, wire: WireClient, attachments: Attachments, is_gone: bool
) -> None:
    stream = Streaming(wire.stream())
    await stream.begin("PassThrough")
    if is_gone:
        await stream.close()
    async with connected(service) as (reader, writer):
        writer.write(CLOSED_HELLO)
        await until(reader, SETTINGS)
        writer.write(ACK + call(PATH.encode()) + unended(hello(stream.session_id)))
        await attachments.begun.wait()
        if not is_gone:
            assert await stream.said("x") == ["x"]
            await stream.close()
        async with asyncio.timeout(10):
            await attachments.over.wait()
