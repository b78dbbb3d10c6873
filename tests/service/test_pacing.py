"""Waiting beside the clock ends with the event, and turns come again and again until it does."""

from __future__ import annotations

import asyncio

from penstock.service.pacing import comes_within, steadily


async def test_an_event_comes_in_time_or_it_does_not() -> None:
    event = asyncio.Event()
    assert not await comes_within(0.01, event)
    asyncio.get_running_loop().call_soon(event.set)
    assert await comes_within(None, event)
    assert await comes_within(-1.0, event), "it is there already"


async def test_turns_come_until_the_event() -> None:
    event, turns = asyncio.Event(), 0
    async for _ in steadily(0.01, event):
        turns += 1
        if turns == 3:
            event.set()
    assert turns == 3
    async for _ in steadily(0.0001, event):
        turns += 1
    assert turns == 3
