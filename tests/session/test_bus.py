"""Attachments: taps, intercepts, inputs from outside and node states, in every process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pipelines import chain, options

from penstock.data import Audio, Binary, Json, Text
from penstock.errors import (
    InvalidValueError,
    NodeAddressError,
    NodeExitedError,
    SessionCancelledError,
    SessionClosedError,
    UnknownNodeError,
)
from penstock.session import Interruption, NodeState, Output, Session
from penstock.session.cost import tap_bytes
from penstock.session.hosting import Hosts

NODES = str(Path(__file__).parent / "bus_nodes.py")
MIXED = {"n1": "multiprocess"}
PLACES = {
    "fused": {},
    "processes": {"n0": "multiprocess", "n1": "multiprocess", "n2": "multiprocess"},
    "mixed": MIXED,
}


@pytest.fixture(params=["library", "hosted"])
async def around(request: pytest.FixtureRequest) -> AsyncIterator[dict[str, Any]]:
    """A session in this process, and one in a host."""
    if request.param == "library":
        yield {}
        return
    hosts = Hosts(1)
    hosts.refill()
    yield {"hosts": hosts}
    hosts.close()


@pytest.fixture(params=PLACES)
def places(request: pytest.FixtureRequest) -> dict[str, str]:
    """Where three nodes run."""
    return PLACES[request.param]


def opened(manifest: dict[str, Any], around: dict[str, Any], **more: Any) -> Session:
    return Session(manifest, options((NODES,), **around, **more))


def three(places: dict[str, str], **more: Any) -> dict[str, Any]:
    return chain("adds_a", "adds_b", "adds_c", executor_overrides=places, **more)


class Talk:
    """A session's one reader, who sends texts and hears what becomes of them."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.outputs = session.outputs()

    async def said(self, word: str) -> str:
        await self.session.send("n0", Text(word))
        return await self.heard()

    async def heard(self) -> str:
        output = await anext(self.outputs)
        assert isinstance(output.value, Text)
        return output.value.text

    async def finish(self) -> list[Output]:
        await self.session.end()
        return [output async for output in self.outputs]


async def skipped(session: Session, node_id: str, count: int) -> None:
    """Wait until a node has been left out of so many inputs."""
    found = 0
    while found < count:
        await asyncio.sleep(0)
        found = (await session.metrics()).nodes[node_id].skipped


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


async def test_an_intercept_passes_replaces_and_drops(
    around: dict[str, Any], places: dict[str, str]
) -> None:
    async with opened(three(places), around) as session, session.attach() as attachment:
        talk = Talk(session)
        tap = await attachment.tap("n1")
        intercept = await attachment.intercept("n1", deadline_s=60)
        for word in ("p", "r", "d"):
            await session.send("n0", Text(word), timestamp_us=7)
        request = await anext(intercept)
        assert (request.node_id, request.value) == ("n1", Text("pab"))
        assert (request.sequence, request.part, request.timestamp_us) == (1, 0, 7)
        assert request.let_pass()
        assert not request.drop()
        assert await talk.heard() == "pabc"
        request = await anext(intercept)
        with pytest.raises(InvalidValueError, match="gives text, got json"):
            request.replace(Json(1))
        assert request.replace(Text("other"))
        output = await anext(talk.outputs)
        assert output.value == Text("otherc")
        assert (output.sequence, output.part, output.timestamp_us) == (2, 0, 7)
        assert (await anext(intercept)).drop()
        intercept.close()
        assert await talk.said("x") == "xabc"
        shown = [(await anext(tap)).value.text for _ in range(4)]
        assert shown == ["pab", "rab", "dab", "xab"]
        assert await talk.finish() == []
        assert (await session.metrics()).nodes["n1"].withheld == 1


async def test_what_nobody_decides_about_passes(
    around: dict[str, Any], places: dict[str, str]
) -> None:
    async with opened(three(places), around) as session, session.attach() as attachment:
        talk = Talk(session)
        intercept = await attachment.intercept("n1", deadline_s=0.02)
        assert await talk.said("x") == "xabc"
        late = intercept.pending(1)
        assert late is None
        assert await talk.said("y") == "yabc"
        assert await talk.finish() == []
        assert [request async for request in intercept] == []


async def test_what_waits_passes_when_its_attachment_leaves(
    around: dict[str, Any], places: dict[str, str]
) -> None:
    async with opened(three(places), around) as session:
        talk = Talk(session)
        async with session.attach() as attachment:
            intercept = await attachment.intercept("n1", deadline_s=60)
            await session.send("n0", Text("x"))
            request = await anext(intercept)
        assert await talk.heard() == "xabc"
        assert not request.drop()
        assert await talk.said("y") == "yabc"
        assert await talk.finish() == []


async def test_what_was_decided_last_holds_for_whoever_comes_next(
    around: dict[str, Any], places: dict[str, str]
) -> None:
    """Each leaves at once when it has decided, and the next is there before the node has looked."""
    async with opened(three(places), around) as session:
        talk = Talk(session)
        for number in range(20):
            async with session.attach() as attachment:
                intercept = await attachment.intercept("n1", deadline_s=60)
                await session.send("n0", Text(f"{number} "))
                request = await anext(intercept)
                assert request.value == Text(f"{number} ab")
                assert request.drop()
        assert await talk.said("x") == "xabc"
        assert await talk.finish() == []
        assert (await session.metrics()).nodes["n1"].withheld == 20


async def test_one_attachment_intercepts_a_node(around: dict[str, Any]) -> None:
    async with opened(three(MIXED), around) as session:
        talk = Talk(session)
        async with session.attach() as one, session.attach() as other:
            first = await one.intercept("n1", deadline_s=60)
            with pytest.raises(NodeAddressError, match="node 'n1' is intercepted already"):
                await other.intercept("n1")
            await session.send("n0", Text("x"))
            assert (await anext(first)).value == Text("xab")
            second = await one.intercept("n1", deadline_s=30)
            assert [request async for request in first] == []
            assert (await anext(second)).replace(Text("new"))
            assert await talk.heard() == "newc"
            one.close()
            third = await other.intercept("n1", deadline_s=60)
            await session.send("n0", Text("y"))
            assert (await anext(third)).let_pass()
            assert await talk.heard() == "yabc"
        assert await talk.finish() == []


async def test_inputs_from_outside(around: dict[str, Any], places: dict[str, str]) -> None:
    async with opened(three(places), around) as session, session.attach() as attachment:
        talk = Talk(session)
        assert await talk.said("x") == "xabc"
        assert await attachment.publish("n1", Text("y"), timestamp_us=5) == 1
        output = await anext(talk.outputs)
        assert (output.value, output.sequence, output.timestamp_us) == (Text("ybc"), 1, 5)
        await attachment.publish("n0", Text("z"))
        assert await talk.heard() == "zabc"
        with pytest.raises(InvalidValueError, match="node 'n1' accepts text, got json"):
            await attachment.publish("n1", Json(1))
        with pytest.raises(InvalidValueError, match="expected one of penstock's values, got str"):
            await attachment.publish("n1", "text")  # type: ignore[arg-type]  # that is the fault
        assert await talk.finish() == []
        with pytest.raises(SessionClosedError):
            await attachment.publish("n1", Text("late"))


async def test_a_full_node_makes_who_publishes_wait_and_nobody_else(
    around: dict[str, Any],
) -> None:
    """n1 is parked: what comes from outside fills its lane, and what comes from n0 goes on."""
    manifest = chain("adds_a", "adds_b", executor_overrides=MIXED, channel_capacity=4)
    async with opened(manifest, around) as session, session.attach() as attachment:
        talk = Talk(session)
        intercept = await attachment.intercept("n1", deadline_s=60)
        await session.send("n0", Text("x"))
        request = await anext(intercept)
        publishing = [
            asyncio.create_task(attachment.publish("n1", Text(f"p{number}")))
            for number in range(20)
        ]
        for number in range(3):
            await session.send("n0", Text(f"s{number}"))
        assert not all(task.done() for task in publishing)
        intercept.close()
        assert not request.let_pass()
        texts = [await talk.heard() for _ in range(24)]
        assert texts[0] == "xab"
        assert [text for text in texts if text[0] == "p"] == [f"p{n}b" for n in range(20)]
        assert [text for text in texts if text[0] == "s"] == [f"s{n}ab" for n in range(3)]
        await asyncio.gather(*publishing)
        assert await talk.finish() == []


@pytest.mark.parametrize("kind", ["adds_b", "adds_b_on_thread", "adds_b_async", "adds_b_several"])
async def test_node_states(around: dict[str, Any], places: dict[str, str], kind: str) -> None:
    manifest = chain("adds_a", kind, "adds_c", executor_overrides=places)
    async with opened(manifest, around) as session:
        talk = Talk(session)
        async with session.attach() as attachment:
            assert await talk.said("1") == "1abc"
            await attachment.set_state("n1", NodeState.BYPASS)
            assert await talk.said("2") == "2ac"
            await attachment.set_state("n1", NodeState.DISABLED)
            await session.send("n0", Text("3"))
            await skipped(session, "n1", 2)
            await attachment.set_state("n1", NodeState.ENABLED)
            assert await talk.said("4") == "4abc"
            await attachment.set_state("n1", NodeState.BYPASS)
            await attachment.set_state("n0", NodeState.BYPASS)
            assert await talk.said("5") == "5c"
            await attachment.set_state("n0", NodeState.ENABLED)
            assert await talk.said("6") == "6ac"
        async with session.attach() as attachment:
            await attachment.confirmed("n1")
        assert await talk.said("7") == "7abc"
        assert await talk.finish() == []
        nodes = (await session.metrics()).nodes
        assert (nodes["n1"].skipped, nodes["n0"].skipped) == (4, 1)
        assert nodes["n1"].items_processed == 3


async def test_a_state_goes_with_who_has_set_it(around: dict[str, Any]) -> None:
    async with opened(three(MIXED), around) as session:
        talk = Talk(session)
        async with session.attach() as first:
            await first.set_state("n1", NodeState.DISABLED)
            async with session.attach() as second:
                await second.set_state("n1", NodeState.BYPASS)
                first.close()
                assert await talk.said("x") == "xac"
            assert await talk.said("y") == "yabc"
        assert await talk.finish() == []


@pytest.mark.parametrize("kind", ["count", "count_native"])
async def test_a_producer_that_is_disabled_gives_nothing(around: dict[str, Any], kind: str) -> None:
    manifest = chain((kind, {"times": 0}), channel_capacity=4)
    async with opened(manifest, around) as session:
        numbers: list[int] = []
        more = asyncio.Event()

        async def read() -> None:
            async for output in session.outputs():
                numbers.append(output.value.value)
                more.set()

        reading = asyncio.create_task(read())
        await more.wait()
        async with session.attach() as attachment:
            with pytest.raises(NodeAddressError, match="takes no inputs: it produces"):
                await attachment.publish("n0", Json(1))
            await attachment.set_state("n0", NodeState.DISABLED)
            await skipped(session, "n0", 100)
            more.clear()
            before = len(numbers)
        await more.wait()
        assert numbers[before] > numbers[before - 1] + 100
        await session.cancel("enough")
        with pytest.raises(SessionCancelledError):
            await reading


async def test_a_join_is_bypassed_and_takes_nothing_from_outside(around: dict[str, Any]) -> None:
    manifest = chain(
        "adds_a", "adds_b", ("joins", {"inputs": {"left": "n0", "right": "n1"}}),
        connections=[("n0", "n1"), ("n0", "n2"), ("n1", "n2")],
    )  # fmt: skip
    async with opened(manifest, around) as session, session.attach() as attachment:
        talk = Talk(session)
        assert await talk.said("x") == "xa+xab"
        with pytest.raises(NodeAddressError, match="it is a join"):
            await attachment.publish("n2", Text("x"))
        await attachment.set_state("n2", NodeState.BYPASS)
        assert {await talk.said("y"), await talk.heard()} == {"ya", "yab"}
        assert await talk.finish() == []


async def test_what_a_disabled_node_flushes_is_dropped(around: dict[str, Any]) -> None:
    async with opened(chain("collect", "collect_native"), around) as session:
        talk = Talk(session)
        async with session.attach() as attachment:
            for word in ("x", "y"):
                await session.send("n0", Text(word))
            await attachment.confirmed("n0")
            await attachment.set_state("n1", NodeState.DISABLED)
            assert await talk.finish() == []
        assert (await session.metrics()).nodes["n1"].skipped == 2


@pytest.mark.parametrize("state", [NodeState.BYPASS, NodeState.DISABLED])
async def test_inputs_of_a_kind_that_a_node_does_not_give(
    around: dict[str, Any], state: NodeState
) -> None:
    async with opened(chain("counts_letters", "PassThrough"), around) as session:
        talk = Talk(session)
        async with session.attach() as attachment:
            await session.send("n0", Text("abc"))
            assert (await anext(talk.outputs)).value == Json(3)
            await attachment.set_state("n0", state)
            await session.send("n0", Text("abc"))
            assert await talk.finish() == []


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


async def test_interrupts_and_what_waits_for_a_verdict(around: dict[str, Any]) -> None:
    told: list[Interruption] = []
    async with (
        opened(three(MIXED), around) as session,
        session.attach(told.append) as attachment,
    ):
        talk = Talk(session)
        tap = await attachment.tap("n1")
        intercept = await attachment.intercept("n1", deadline_s=60)
        await session.send("n0", Text("old"))
        stale = await anext(intercept)
        await session.interrupt()
        await attachment.publish("n1", Text("new"))
        request = await anext(intercept)
        assert request.value == Text("newb")
        assert not stale.let_pass()
        assert request.let_pass()
        assert await talk.heard() == "newbc"
        assert [(await anext(tap)).value.text for _ in range(2)] == ["oldab", "newb"]
        assert await talk.finish() == []
    assert [(one.node_id, one.by, one.epoch) for one in told] == [(None, None, 1)]


async def test_a_node_that_dies_while_its_output_waits(around: dict[str, Any]) -> None:
    manifest = chain("adds_a", "dies_on_second")
    async with opened(manifest, around) as session, session.attach() as attachment:
        talk = Talk(session)
        intercept = await attachment.intercept("n0", deadline_s=60)
        tap = await attachment.tap("n1")
        await session.send("n0", Text("x"))
        assert (await anext(intercept)).let_pass()
        assert await talk.heard() == "xa"
        await session.send("n0", Text("y"))
        assert (await anext(intercept)).value == Text("ya")
        await attachment.publish("n1", Text("die"))
        assert [event.value async for event in tap] == [Text("xa")]
        assert [request async for request in intercept] == []
        with pytest.raises(NodeExitedError, match="n1"):
            await talk.heard()


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
                with pytest.raises(UnknownNodeError, match="expected one of n0, got 'x'"):
                    await attempt
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


@pytest.mark.parametrize("kind", ["repeat", "repeat_native", "shout", "shout_native"])
async def test_each_of_several_outputs_is_decided_about(around: dict[str, Any], kind: str) -> None:
    """Generators, plain and async, on a thread and in a process: one output at a time, in order."""
    async with (
        opened(chain(kind, "adds_c"), around) as session,
        session.attach() as attachment,
    ):
        talk = Talk(session)
        tap = await attachment.tap("n0")
        intercept = await attachment.intercept("n0", deadline_s=60)
        for word in ("x", "y"):
            await session.send("n0", Text(word))
        for number in range(4):
            request = await anext(intercept)
            shown = await anext(tap)
            assert (request.value, request.part) == (shown.value, number % 2)
            assert request.sequence == shown.sequence == 1 + number // 2
            assert request.replace(Text(f"r{number}")) if number % 2 else request.let_pass()
            went_on = f"r{number}" if number % 2 else shown.value.text
            assert await talk.heard() == f"{went_on}c"
        intercept.close()
        await talk.finish()


async def test_a_large_replacement_goes_through_processes_unchanged(
    around: dict[str, Any],
) -> None:
    """And again and again: what it lies in comes back."""
    manifest = chain("PassThrough", "EchoNode", "EchoNode", max_message_bytes=1 << 20)
    async with opened(manifest, around) as session, session.attach() as attachment:
        outputs = session.outputs()
        intercept = await attachment.intercept("n1", deadline_s=60)
        kept = []
        for number in range(40):
            await session.send("n0", Binary(np.zeros(1 << 20, np.uint8)))
            request = await anext(intercept)
            kept = [*kept[-4:], request]  # it holds no memory of the pipeline
            assert request.replace(Binary(np.full(1 << 20, number, np.uint8)))
            output = await anext(outputs)
            assert isinstance(output.value, Binary)
            assert (output.value.data == number).all()
            del output
        await session.end()
        assert [output async for output in outputs] == []


async def test_what_waits_for_a_verdict_is_no_stall(around: dict[str, Any]) -> None:
    """A join lacks an input for longer than a ring of nodes may stand still."""
    manifest = chain(
        "adds_a", "adds_b", ("joins", {"inputs": {"left": "n0", "right": "n1"}}),
        connections=[("n0", "n1"), ("n0", "n2"), ("n1", "n2")],
        stall_timeout_secs=0.05, channel_capacity=1,
    )  # fmt: skip
    async with opened(manifest, around) as session, session.attach() as attachment:
        talk = Talk(session)
        intercept = await attachment.intercept("n1", deadline_s=0.5)
        sending = [asyncio.create_task(session.send("n0", Text(str(n)))) for n in range(2)]
        assert (await anext(intercept)).value == Text("0ab")
        assert [await talk.heard() for _ in range(2)] == ["0a+0ab", "1a+1ab"]
        await asyncio.gather(*sending)
        assert await talk.finish() == []
