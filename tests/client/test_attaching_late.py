"""Who attaches as a session ends is told why, whichever of the two was first."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from attaching import NODES, Talking

from penstock.client import Client, Stream
from penstock.errors import ServiceError, SessionCancelledError, SessionClosedError
from penstock.nodes import Catalogue
from penstock.service.admission import Admission
from penstock.service.events import Events
from penstock.session import Session
from penstock.wire.v1 import control_pb2 as pb
from tests.talking import Talk


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue.installed().extended(*NODES)


class Moment:
    """Somebody comes to it, and waits there until he may go on."""

    def __init__(self) -> None:
        self.come = asyncio.Event()
        self.go_on = asyncio.Event()

    async def wait(self) -> None:
        self.come.set()
        await self.go_on.wait()


async def completes(talk: Talk[Stream]) -> None:
    await talk.finish()


async def is_cancelled(talk: Talk[Stream]) -> None:
    await talk.stream.cancel()
    assert [output async for output in talk.outputs] == []


async def fails(talk: Talk[Stream]) -> None:
    await talk.say("die")
    with pytest.raises(ServiceError, match="exited with code 3"):
        await talk.heard()


ENDINGS = pytest.mark.parametrize(
    ("end", "kind", "why"),
    [
        (completes, SessionClosedError, "the session has ended"),
        (is_cancelled, SessionCancelledError, "session ended early: cancelled by the client"),
        (fails, ServiceError, "node 'n0': its process .* exited with code 3"),
    ],
)
End = Callable[[Talk[Stream]], Awaitable[None]]


@asynccontextmanager
async def talking(client: Client) -> AsyncIterator[Talk[Stream]]:
    async with Talking(client, "dies_on_second") as talk:
        assert await talk.said("x") == "x"
        yield talk


async def refused(client: Client, session_id: str) -> None:
    async with client.attach(session_id):
        pytest.fail("it was opened")


@ENDINGS
async def test_a_session_that_is_gone(
    client: Client, monkeypatch: pytest.MonkeyPatch, end: End, kind: type[Exception], why: str
) -> None:
    close, gone = Admission._close, asyncio.Event()

    async def tell_of_it(admission: Admission, session: Session, *error: Any) -> None:
        await close(admission, session, *error)
        gone.set()

    monkeypatch.setattr(Admission, "_close", tell_of_it)
    async with talking(client) as talk:
        await end(talk)
        await gone.wait()
        with pytest.raises(kind, match=why) as caught:
            await refused(client, talk.session_id)
    assert type(caught.value) is kind


@ENDINGS
async def test_a_session_that_is_over_and_not_gone_yet(
    client: Client, monkeypatch: pytest.MonkeyPatch, end: End, kind: type[Exception], why: str
) -> None:
    close, moment = Admission._close, Moment()

    async def close_then(admission: Admission, session: Session, *error: Any) -> None:
        await moment.wait()
        await close(admission, session, *error)

    monkeypatch.setattr(Admission, "_close", close_then)
    async with talking(client) as talk, asyncio.TaskGroup() as group:
        group.create_task(end(talk))  # a stream that fails is told so when all is gone
        await moment.come.wait()
        with pytest.raises(kind, match=why) as caught:
            await refused(client, talk.session_id)
        moment.go_on.set()
    assert type(caught.value) is kind


@ENDINGS
async def test_a_session_that_ends_while_one_attaches(
    client: Client, monkeypatch: pytest.MonkeyPatch, end: End, kind: type[Exception], why: str
) -> None:
    attach, moment = Session.attach, Moment()

    @asynccontextmanager
    async def attach_then(session: Session, *arguments: Any) -> AsyncIterator[Any]:
        await moment.wait()
        async with attach(session, *arguments) as attachment:
            yield attachment

    monkeypatch.setattr(Session, "attach", attach_then)
    async with talking(client) as talk:
        attaching = asyncio.create_task(refused(client, talk.session_id))
        await moment.come.wait()
        await end(talk)
        moment.go_on.set()
        with pytest.raises(kind, match=why) as caught:
            await attaching
    assert type(caught.value) is kind


@ENDINGS
async def test_a_session_that_ends_as_one_is_told_of_being_attached(
    client: Client, monkeypatch: pytest.MonkeyPatch, end: End, kind: type[Exception], why: str
) -> None:
    write, moment = Events.write, Moment()

    async def write_then(events: Events, event: pb.ControlEvent) -> None:
        if event.HasField("attached"):
            await moment.wait()
        await write(events, event)

    monkeypatch.setattr(Events, "write", write_then)
    async with talking(client) as talk:
        attachment = client.attach(talk.session_id)
        opening = asyncio.create_task(attachment.__aenter__())
        await moment.come.wait()
        await end(talk)
        moment.go_on.set()
        await opening
        await attachment.until_over()
        with pytest.raises(kind, match=why) as caught:
            await attachment.tap("n0")
        await attachment.__aexit__()
    assert type(caught.value) is kind
