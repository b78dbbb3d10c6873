"""Attachments and their taps, in every process."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import numpy as np
import pytest
from bus_rig import MIXED, opened, three
from pipelines import chain

from penstock.data import Audio, Binary, Json, Text
from penstock.errors import (
    InputError,
    NodeAddressError,
    SessionCancelledError,
    SessionClosedError,
    UnknownNodeError,
)
from penstock.session import NodeState
from penstock.session.cost import tap_bytes
from tests.talking import Talk


async def test_a_tap_shows_what_a_node_gives(
    around: dict[str, Any], places: dict[str, str]
) -> None:
    async with opened(three(places), around) as session:
        talk = Talk(session)
        async with session.attach() as attachment:
            taps = [await attachment.tap(node_id) for node_id in ("n0", "n1", "n2")]
            assert await talk.said("x") == "xabc"
            events = [await anext(tap) for tap in taps]
            assert [event.value for event in events] == [Text("xa"), Text("xab"), Text("xabc")]
            assert [(e.node_id, e.sequence, e.part, e.lost) for e in events] == [
                ("n0", 1, 0, 0), ("n1", 1, 0, 0), ("n2", 1, 0, 0)
            ]  # fmt: skip
            taps[0].close()
            with pytest.raises(StopAsyncIteration):
                await anext(taps[0])
            assert await talk.said("y") == "yabc"
            assert (await anext(taps[1])).value == Text("yab")
            assert await talk.finish() == []
            assert [event.value async for event in taps[2]] == [Text("yabc")]
        assert [event async for event in taps[1]] == []


async def test_a_slow_tap_loses_its_own_events(around: dict[str, Any]) -> None:
    """The pipeline's outputs are all there, bit for bit, and the tap's last events too."""
    manifest = chain("PassThrough", "EchoNode", "PassThrough", channel_capacity=8)
    async with opened(manifest, around) as session, session.attach() as attachment:
        tap = await attachment.tap("n1")
        quick = await attachment.tap("n1")
        arrays = [np.full(16_000, number, np.float32) for number in range(1000)]
        outputs = session.outputs()
        seen = []

        async def watch() -> None:
            seen.extend([event async for event in quick])

        async def feed() -> None:
            for array in arrays:
                await session.send("n0", Audio(array[:, None], 16_000))
            await session.end()

        async with asyncio.TaskGroup() as group:
            group.create_task(watch())
            group.create_task(feed())
            given = [output.value async for output in outputs]
        assert len(given) == 1000
        for value, array in zip(given, arrays, strict=True):
            assert np.array_equal(value.samples[:, 0], array)
        events = [event async for event in tap]
        assert len(events) + events[-1].lost == 1000
        assert events[-1].lost >= 1000 - 256
        assert len(seen) + seen[-1].lost == 1000
        numbers = [event.sequence for event in events]
        assert numbers == sorted(numbers)
        assert numbers[-1] == 1000
        for event in events:
            assert np.array_equal(event.value.samples[:, 0], arrays[event.sequence - 1])
        metrics = await session.metrics()
        assert metrics.dropped == 0


@pytest.mark.parametrize("kind", ["says_too_much", "says_too_much_natively"])
async def test_what_is_lost_after_the_last_event_is_told_in_the_end(
    around: dict[str, Any], kind: str
) -> None:
    """What is too large for a tap's lane is lost on it, wherever there is another process."""
    executors = {} if around else {"n0": "multiprocess"}
    manifest = chain(kind, "adds_b", max_message_bytes=500_000, executor_overrides=executors)
    async with opened(manifest, around) as session, session.attach() as attachment:
        talk = Talk(session)
        tap, closed = await attachment.tap("n0"), await attachment.tap("n0")
        assert [await talk.said(word) for word in "xy"] == ["xb", "yb"]
        closed.close()
        assert await talk.finish() == []
        assert [(event.value, event.lost) async for event in tap] == [
            (Text("x"), 0),
            (Text("y"), 3),
        ]
        assert (tap.lost, tap.waiting) == (6, 0)
        assert closed.lost in (0, 3)
        attachment.close()
        assert tap.lost == 6


async def test_all_taps_of_a_session_hold_no_more_than_it_has_reserved(
    around: dict[str, Any],
) -> None:
    """Many that nobody reads, on each node; one that is read misses nothing of it."""
    nodes = {"n0": "multiprocess", "n2": "multiprocess"}
    manifest = chain(*["PassThrough"] * 3, max_message_bytes=1 << 20, executor_overrides=nodes)
    async with opened(manifest, around) as session, AsyncExitStack() as attached:
        unread = []
        for _ in range(20):
            attachment = await attached.enter_async_context(session.attach())
            unread += [await attachment.tap(node_id) for node_id in nodes]
        quick = await attachment.tap("n0")
        outputs = session.outputs()
        for number in range(12):
            await session.send("n0", Binary(np.full(500_000, number, np.uint8)))
            assert (await anext(outputs)).value.data[0] == number
            event = await anext(quick)
            assert (event.value.data[0], event.lost) == (number, 0)
        await session.end()
        assert [output async for output in outputs] == []
        assert [event async for event in quick] == []
        held = {tap.node_id: 500_000 * tap.waiting for tap in unread}
        assert [500_000 * tap.waiting for tap in unread] == list(held.values()) * 20
        assert sum(held.values()) <= tap_bytes(session.plan.configuration) == 2 << 20
        assert min(held.values()) == max(held.values()) == 1_000_000
        for tap in unread:
            events = [event async for event in tap]
            assert [event.sequence for event in events] == [11, 12]
            assert [event.lost for event in events] == [10, 10]
            assert tap.lost == 10


async def test_many_taps_on_a_quick_node_leave_the_client_its_turns(around: dict[str, Any]) -> None:
    """Nothing but the taps holds the node up, which gives quicker than they can be shown it."""
    manifest = chain(("count", {"times": 0}), "swallows", executor_overrides={"n0": "multiprocess"})
    async with opened(manifest, around) as session, AsyncExitStack() as attached:
        reading = asyncio.create_task(anext(session.outputs()))
        taps = []
        for _ in range(50):
            attachment = await attached.enter_async_context(session.attach())
            taps.append(await attachment.tap("n0"))
        for tap in taps:
            assert isinstance((await anext(tap)).value, Json)
        for _ in range(100):
            await asyncio.sleep(0)
        await session.cancel("enough")
        with pytest.raises(SessionCancelledError):
            await reading


async def test_many_attachments_cost_a_node_one_lane(around: dict[str, Any]) -> None:
    async with opened(three(MIXED), around) as session:
        talk = Talk(session)
        stack = [session.attach() for _ in range(50)]
        attachments = [await one.__aenter__() for one in stack]
        taps = [await attachment.tap("n1") for attachment in attachments]
        for number in range(3):
            assert await talk.said(str(number)) == f"{number}abc"
        for tap in taps:
            assert [(await anext(tap)).value.text for _ in range(3)] == ["0ab", "1ab", "2ab"]
        for one in stack:
            await one.__aexit__(None, None, None)
        assert await talk.said("x") == "xabc"
        assert await talk.finish() == []


async def test_a_node_lets_go_of_what_was_attached(around: dict[str, Any]) -> None:
    """Its descriptors and its memory, however often somebody comes and leaves."""
    manifest = chain("PassThrough", "tells_descriptors", max_message_bytes=1 << 20)
    async with opened(manifest, around) as session:
        outputs = session.outputs()
        frame = Binary(np.zeros(1 << 20, np.uint8))

        async def descriptors() -> int:
            await session.send("n0", frame)
            count = (await anext(outputs)).value.metadata["descriptors"]
            return int(count)

        async def come_and_go() -> None:
            async with session.attach() as attachment:
                await attachment.tap("n1")
                intercept = await attachment.intercept("n1", deadline_s=60)
                await session.send("n0", frame)
                assert (await anext(intercept)).replace(frame)
                await anext(outputs)
            async with session.attach() as attachment:
                await attachment.confirmed("n1")

        await come_and_go()
        first = await descriptors()
        for _ in range(30):
            await come_and_go()
        assert await descriptors() <= first + 2
        await session.end()
        assert [output async for output in outputs] == []


async def test_nodes_that_there_are_not(around: dict[str, Any]) -> None:
    async with opened(chain("adds_a"), around) as session:
        async with session.attach() as attachment:
            for attempt in (
                attachment.tap("x"),
                attachment.intercept("x"),
                attachment.publish("x", Text("")),
                attachment.set_state("x", NodeState.BYPASS),
                attachment.confirmed("x"),
            ):
                with pytest.raises(UnknownNodeError, match="no node has the ID 'x'"):
                    await attempt
            with pytest.raises(InputError, match="one of enabled, bypass, disabled, got 'off'"):
                await attachment.set_state("n0", "off")  # type: ignore[arg-type]  # that is what is tried
        with pytest.raises(SessionClosedError, match="attachment has been closed"):
            await attachment.tap("n0")
        await session.end()
        assert [output async for output in session.outputs()] == []
        with pytest.raises(SessionClosedError):
            async with session.attach():
                pass


async def test_a_node_that_has_finished(around: dict[str, Any]) -> None:
    """n0 is at its end while n1 still is at work."""
    async with opened(chain("adds_a", "adds_b", executor_overrides=MIXED), around) as session:
        talk = Talk(session)
        async with session.attach() as attachment:
            intercept = await attachment.intercept("n1", deadline_s=60)
            first = await attachment.tap("n0")
            await session.send("n0", Text("x"))
            request = await anext(intercept)
            await session.end()
            assert [event.value async for event in first] == [Text("xa")]
            await attachment.confirmed("n0")
            while True:
                try:
                    await attachment.publish("n0", Text("late"))
                except NodeAddressError as exc:
                    assert exc.fact == "has come to its end"  # noqa: PT017  # it may take a while
                    break
                await asyncio.sleep(0)
            assert [event async for event in await attachment.tap("n0")] == []
            assert request.let_pass()
            assert [output.value async for output in talk.outputs] == [Text("xab")]


async def test_who_attaches_early_waits_until_the_session_is_ready(
    around: dict[str, Any],
) -> None:
    session = opened(three(MIXED), around)
    starting = asyncio.create_task(session.start())
    await asyncio.sleep(0)
    async with session.attach() as attachment:
        tap = await attachment.tap("n1")
        await starting
        talk = Talk(session)
        assert await talk.said("x") == "xabc"
        assert (await anext(tap)).value == Text("xab")
    await talk.finish()
    await session.aclose()
