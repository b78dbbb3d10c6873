"""What is read ahead of a session is bounded, in order, and has an end."""

from __future__ import annotations

import asyncio

import pytest

from penstock.data import Binary
from penstock.errors import InputError
from penstock.service.chunks import Inputs
from penstock.service.inbox import READ_AHEAD, READ_AHEAD_BYTES, Inbox


def sized(nbytes: int, sequence: int = 0) -> Inputs:
    return Inputs((("", Binary.from_bytes(bytes(nbytes))),), sequence, 0, nbytes)


async def settled() -> None:
    """Let every task go as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("size", "room"), [(1, READ_AHEAD), (READ_AHEAD_BYTES // 4, 4), (2 * READ_AHEAD_BYTES, 1)]
)
async def test_a_reader_waits_for_room_in_chunks_and_in_bytes(size: int, room: int) -> None:
    inbox = Inbox()
    for sequence in range(room):
        await inbox.put(sized(size, sequence))
    waiting = asyncio.create_task(inbox.put(sized(size, room)))
    await settled()
    assert not waiting.done()
    first = await inbox.take()
    assert first is not None
    assert first.sequence == 0
    await waiting


async def test_what_was_read_is_taken_before_the_end() -> None:
    inbox = Inbox()
    await inbox.put(sized(1, 1))
    await inbox.end()
    await inbox.end()
    taken = [await inbox.take(), await inbox.take()]
    assert taken == [sized(1, 1), None]
    with pytest.raises(InputError):
        await inbox.put(sized(1))


async def test_the_end_wakes_who_waits() -> None:
    inbox = Inbox()
    taking = asyncio.create_task(inbox.take())
    await settled()
    await inbox.end()
    assert await taking is None
