"""How a session fails, as its reader and its sender are told."""

import asyncio
from pathlib import Path

from pipelines import options

from penstock.data import Text
from penstock.errors import PenstockError
from penstock.session import Session, SessionStatus


async def failure_of(manifest, inputs=3):
    """What the session fails with, at the reader and at the sender; and the session."""
    session = Session(manifest, options())
    error = sender = None
    try:
        await session.start()
        feeding = asyncio.create_task(feed(session, inputs))
        try:
            await read_all(session)
        except PenstockError as exc:
            error = exc
        sender = (await asyncio.gather(feeding, return_exceptions=True))[0]
    except PenstockError as exc:
        error = exc
    await session.aclose()
    assert session.context.status is SessionStatus.TERMINATED
    assert sender is None or sender is error
    return error, session


async def read_all(session):
    async for _ in session.outputs():
        pass


async def feed(session, inputs):
    for _ in range(inputs):
        await session.send("n0", Text("x"))
    await session.end()


def is_running(pid):
    return Path(f"/proc/{pid}").exists()
