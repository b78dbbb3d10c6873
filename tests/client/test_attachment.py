"""Attachments of the asyncio client, to sessions of a real service: every operation."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "service"))

from attaching import HOUR_S, MIXED, NODES, Hold, Talking

from penstock.client import Client, Tap
from penstock.data import Audio, Json, Text
from penstock.errors import (
    InputError,
    InvalidValueError,
    NodeAddressError,
    PenstockError,
    SessionClosedError,
    SessionError,
    UnknownNodeError,
)
from penstock.nodes import Catalogue
from penstock.session import Interruption, NodeState, TapEvent

APART = {"n0": "multiprocess", "n1": "multiprocess", "n2": "multiprocess"}


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue.installed().extended(*NODES)


async def shown(tap: Tap) -> str:
    event = await anext(tap)
    assert isinstance(event.value, Text)
    return event.value.text


@pytest.mark.parametrize("places", [{}, APART], ids=["mixed", "processes"])
async def test_a_tap_shows_what_a_node_gives(client: Client, places: dict[str, str]) -> None:
    async with Talking(client, *MIXED, executor_overrides=places) as talk:
        async with client.attach(talk.session_id, attach_id="me") as attachment:
            assert (attachment.session_id, attachment.attach_id) == (talk.session_id, "me")
            taps = [await attachment.tap(node_id) for node_id in ("n0", "n1", "n2")]
            await talk.stream.send("n0", "x", timestamp_ms=7)
            assert await talk.heard() == "xab"
            events = [await anext(tap) for tap in taps]
            assert events == [
                TapEvent("n0", Text("xa"), 0, 0, 7000, 0),
                TapEvent("n1", Text("xa"), 0, 0, 7000, 0),
                TapEvent("n2", Text("xab"), 0, 0, 7000, 0),
            ]
            await taps[0].aclose()
            with pytest.raises(StopAsyncIteration):
                await anext(taps[0])
            assert await talk.said("y") == "yab"
            assert await talk.finish() == []
            assert [event.value async for event in taps[1]] == [Text("ya")]
        assert [event.value async for event in taps[2]] == [Text("yab")]


async def test_who_attaches_without_a_name_gets_one(client: Client) -> None:
    async with (
        Talking(client, *MIXED) as talk,
        client.attach(talk.session_id) as one,
        client.attach(talk.session_id) as two,
    ):
        assert one.attach_id != two.attach_id != ""


async def test_a_tap_of_sound(client: Client) -> None:
    audio = Audio(np.arange(300_000, dtype=np.int16).reshape(-1, 2), 8_000, {"who": "anna"})
    async with Talking(client, "EchoNode") as talk, client.attach(talk.session_id) as attachment:
        tap = await attachment.tap("n0")
        await talk.stream.send("n0", audio)
        assert (await anext(tap)).value == audio


async def test_taps_of_one_node_end_one_by_one(client: Client) -> None:
    async with Talking(client, *MIXED) as talk, client.attach(talk.session_id) as attachment:
        one, two = await attachment.tap("n1"), await attachment.tap("n1")
        assert await talk.said("p") == "pab"
        assert [await shown(one), await shown(two)] == ["pa", "pa"]
        await one.aclose()
        await one.aclose()
        assert await talk.said("q") == "qab"
        assert await shown(two) == "qa"
        await two.aclose()
        assert await talk.said("unseen") == "unseenab"
        again = await attachment.tap("n1")
        assert await talk.said("r") == "rab"
        assert await shown(again) == "ra"
        assert [event async for event in two] == []


async def test_a_tap_that_nobody_reads_loses_events_and_holds_up_nobody(client: Client) -> None:
    """Far more goes by than is kept, here or at the service; others are answered meanwhile."""
    async with Talking(client, *MIXED) as talk, client.attach(talk.session_id) as attachment:
        tap, quick = await attachment.tap("n1"), await attachment.tap("n2")
        filler = "x" * 100_000
        for number in range(400):
            assert await talk.said(f"{number} {filler}") == f"{number} {filler}ab"
            assert (await anext(quick)).sequence == number
            await attachment.set_state("n0", NodeState.ENABLED)
        assert await talk.finish() == []
        events = [event async for event in tap]
        assert tap.lost == events[-1].lost > 0
        assert len(events) + tap.lost == 400
        assert [event.sequence for event in events] == list(range(events[0].sequence, 400))
        assert events[0].sequence == tap.lost
        assert quick.lost == 0


async def test_what_is_lost_after_the_last_event_is_told_in_the_end(client: Client) -> None:
    """Three outputs behind each that is shown are larger than a message may be."""
    async with (
        Talking(client, "says_too_much", "adds_b", max_message_bytes=500_000) as talk,
        client.attach(talk.session_id) as attachment,
    ):
        tap = await attachment.tap("n0")
        assert await talk.said("x") == "xb"
        assert (await shown(tap), tap.lost) == ("x", 0)
        assert await talk.said("y") == "yb"
        assert (await shown(tap), tap.lost) == ("y", 3)
        unread = await attachment.tap("n1")
        assert await talk.finish() == []
        assert [event async for event in tap] == []
        assert (tap.lost, unread.lost) == (6, 0)


async def test_a_tap_counts_what_is_lost_from_its_own_beginning(client: Client) -> None:
    async with (
        Talking(client, *MIXED) as talk,
        client.attach(talk.session_id) as attachment,
        client.attach(talk.session_id) as other,
    ):
        first, seen = await attachment.tap("n1"), await other.tap("n1")
        for number in range(300):
            await talk.said(str(number))
            await anext(seen)  # the stream may hear it before the service has it for taps
        second = await attachment.tap("n1")
        assert await talk.said("x") == "xab"
        assert await anext(second) == TapEvent("n1", Text("xa"), 300, 0, 0, 0)
        assert first.lost == 301 - 256


async def test_an_output_that_can_not_be_shown_is_told_in_its_place(client: Client) -> None:
    async with (
        Talking(client, "says_unspeakable", "takes_all") as talk,
        client.attach(talk.session_id) as attachment,
    ):
        tap = await attachment.tap("n0")
        intercept = await attachment.intercept("n0", HOUR_S)
        await talk.say("unspeakable")
        assert await talk.heard() == "control"  # it has passed, since nobody could be asked
        await talk.say("x")
        assert await (await anext(intercept)).let_pass()
        with pytest.raises(InvalidValueError, match="can't be sent"):
            await anext(tap)
        while True:
            try:
                assert await shown(tap) == "x"
                break
            except InvalidValueError:  # the same of the intercept
                continue


async def test_an_intercept_passes_replaces_and_drops(client: Client) -> None:
    async with Talking(client, *MIXED) as talk, client.attach(talk.session_id) as attachment:
        tap = await attachment.tap("n1")
        intercept = await attachment.intercept("n1", HOUR_S)
        await talk.stream.send("n0", "p", timestamp_ms=7)
        await talk.say("r", "d")
        request = await anext(intercept)
        assert (request.node_id, request.value) == ("n1", Text("pa"))
        assert (request.sequence, request.part, request.timestamp_us) == (0, 0, 7000)
        assert await request.let_pass()
        assert not await request.drop()
        assert await talk.heard() == "pab"
        request = await anext(intercept)
        assert await request.replace("other")
        output = await anext(talk.outputs)
        assert (output.value, output.sequence) == (Text("otherb"), 1)
        assert await (await anext(intercept)).drop()
        await intercept.aclose()
        await intercept.aclose()
        assert [request async for request in intercept] == []
        assert await talk.said("x") == "xab"
        assert [await shown(tap) for _ in range(4)] == ["pa", "ra", "da", "xa"]


async def test_a_replacement_that_is_refused_leaves_the_request_open(client: Client) -> None:
    async with Talking(client, *MIXED) as talk, client.attach(talk.session_id) as attachment:
        intercept = await attachment.intercept("n0", HOUR_S)
        await talk.say("x")
        request = await anext(intercept)
        with pytest.raises(InvalidValueError, match="node 'n0' gives text, got json"):
            await request.replace(Json(1))
        assert await request.replace("y")
        assert await talk.heard() == "yb"


async def test_what_nobody_decides_about_passes(client: Client) -> None:
    async with Talking(client, *MIXED) as talk, client.attach(talk.session_id) as attachment:
        intercept = await attachment.intercept("n1", 0.5)
        await talk.say("x")
        request = await anext(intercept)
        assert await talk.heard() == "xab"
        assert not await request.drop()
        await intercept.aclose()
        unread = await attachment.intercept("n1", 0.001)
        assert [await talk.said(word) for word in "yz"] == ["yab", "zab"]
        await talk.finish()
        assert [request async for request in unread] == []


async def test_what_waits_passes_when_its_intercept_closes_or_its_attachment_leaves(
    client: Client,
) -> None:
    async with Talking(client, *MIXED) as talk:
        async with client.attach(talk.session_id) as attachment:
            intercept = await attachment.intercept("n1", HOUR_S)
            await talk.say("x")
            request = await anext(intercept)
            await intercept.aclose()
            assert await talk.heard() == "xab"
            assert not await request.drop()
            intercept = await attachment.intercept("n1", HOUR_S)
            await talk.say("y")
            request = await anext(intercept)
        assert await talk.heard() == "yab"
        with pytest.raises(SessionClosedError, match="the attachment has been closed"):
            await request.drop()


async def test_a_node_has_one_intercept(client: Client) -> None:
    async with (
        Talking(client, *MIXED) as talk,
        client.attach(talk.session_id) as one,
        client.attach(talk.session_id) as two,
    ):
        first = await one.intercept("n1", HOUR_S)
        with pytest.raises(NodeAddressError, match="is intercepted already") as caught:
            await two.intercept("n1")
        assert (caught.value.node_id, caught.value.fact) == ("n1", "is intercepted already")
        await talk.say("x")
        assert (await anext(first)).value == Text("xa")
        second = await one.intercept("n1", HOUR_S)
        assert [request async for request in first] == []
        await first.aclose()  # the second goes on
        request = await anext(second)
        assert request.value == Text("xa")
        assert await request.drop()


async def test_inputs_from_outside(client: Client) -> None:
    async with Talking(client, *MIXED) as talk, client.attach(talk.session_id) as attachment:
        tap = await attachment.tap("n1")
        assert [await talk.said(word) for word in "xy"] == ["xab", "yab"]
        assert await attachment.publish("n1", Text("z"), timestamp_us=1_234_567) == 1
        assert await talk.heard() == "zb"
        events = [await anext(tap) for _ in range(3)]
        assert events[-1] == TapEvent("n1", Text("z"), 1, 1, 1_234_567, 0)


async def test_verdicts_overtake_inputs_that_wait_for_room(client: Client) -> None:
    """The node is parked, and its lane full of what the same client has published."""
    async with (
        Talking(client, "EchoNode", channel_capacity=2) as talk,
        client.attach(talk.session_id) as attachment,
        asyncio.TaskGroup() as group,
    ):
        intercept = await attachment.intercept("n0", HOUR_S)
        for number in range(30):
            group.create_task(attachment.publish("n0", f"p{number}"))
        for number in range(30):
            request = await anext(intercept)
            assert request.value == Text(f"p{number}")
            assert await request.let_pass()
            assert await talk.heard() == f"p{number}"


async def test_verdicts_overtake_what_a_busy_node_has_not_heeded(
    client: Client, hold: Hold
) -> None:
    async with (
        Talking(client, "holds", "adds_b") as talk,
        client.attach(talk.session_id) as attachment,
        asyncio.TaskGroup() as group,
    ):
        intercept = await attachment.intercept("n1", HOUR_S)
        await talk.say(hold.path)
        request = await anext(intercept)
        for _ in range(100):
            group.create_task(attachment.set_state("n0", NodeState.ENABLED))
            group.create_task(attachment.tap("n0"))
        await asyncio.sleep(0)
        assert await request.let_pass()
        assert await talk.heard() == "heldb"
        hold.release()
        assert await (await anext(intercept)).let_pass()
        assert await talk.heard() == "releasedb"


@pytest.mark.parametrize(
    ("state", "after"),
    [
        (NodeState.ENABLED, {"yab", "!b"}),
        (NodeState.BYPASS, {"yb", "!b"}),
        (NodeState.DISABLED, {"!b"}),
    ],
)
@pytest.mark.parametrize("first", ["adds_a", "adds_a_apart"])
async def test_node_states(client: Client, state: NodeState, after: set[str], first: str) -> None:
    async with Talking(client, first, "adds_b") as talk:
        async with client.attach(talk.session_id) as attachment:
            await attachment.set_state("n0", state)
            await talk.say("y")
            await attachment.publish("n1", "!")
            assert {await talk.heard() for _ in after} == after
            await attachment.set_state("n0", NodeState.ENABLED)
            assert await talk.said("z") == "zab"
            await attachment.set_state("n0", state)
        async with client.attach(talk.session_id) as attachment:
            await attachment.tap("n0")  # it has heeded by now that the other one has left
            assert await talk.said("z") == "zab"


async def test_interrupts(client: Client) -> None:
    told: list[Interruption] = []
    async with (
        Talking(client, *MIXED) as talk,
        client.attach(talk.session_id, on_interrupt=told.append) as watcher,
        client.attach(talk.session_id) as attachment,
    ):
        assert await attachment.interrupt("n0") == 1
        assert await attachment.interrupt() == 2
        assert await watcher.interrupt("n1") == 3
        assert [(said.node_id, said.epoch, said.sinks) for said in told] == [
            ("n0", 1, ("n2",)), (None, 2, ("n2",)), ("n1", 3, ("n2",)),
        ]  # fmt: skip
        assert await talk.said("x") == "xab"


async def test_a_callback_that_raises_is_heard_by_who_reads_and_who_asks(client: Client) -> None:
    def refuse(_said: Interruption) -> None:
        raise ValueError("the loudspeaker is gone")

    async with Talking(client, *MIXED) as talk:
        async with client.attach(talk.session_id, on_interrupt=refuse) as attachment:
            tap = await attachment.tap("n1")
            with pytest.raises(ValueError, match="loudspeaker"):
                await attachment.interrupt()
            for asked in (anext(tap), attachment.tap("n1"), attachment.until_over()):
                with pytest.raises(ValueError, match="loudspeaker"):
                    await asked
        assert await talk.said("x") == "xab"


REFUSED: list[tuple[str, tuple[Any, ...], type[PenstockError], str]] = [
    ("tap", ("x",), UnknownNodeError, "no node has the ID 'x'"),
    ("intercept", ("x",), UnknownNodeError, "no node has the ID 'x'"),
    ("intercept", ("n0", 0.0), InputError, "deadline_s: expected more than 0"),
    ("intercept", ("n0", float("nan")), InputError, "deadline_s: expected more than 0"),
    ("publish", ("x", "y"), UnknownNodeError, "no node has the ID 'x'"),
    ("publish", ("n0", Json(1)), InvalidValueError, "node 'n0' accepts text, got json"),
    ("publish", ("n0", Text("\ud800")), InvalidValueError, "can't be sent"),
    ("publish", ("n0", 7), InvalidValueError, "got int"),
    ("set_state", ("x", NodeState.BYPASS), UnknownNodeError, "the ID 'x'"),
    ("set_state", ("n0", "off"), InputError, "one of enabled, bypass, disabled, got 'off'"),
    ("interrupt", ("x",), UnknownNodeError, "the ID 'x'"),
]


async def test_what_is_refused_is_told_to_who_asked_it(client: Client) -> None:
    async with Talking(client, *MIXED) as talk, client.attach(talk.session_id) as attachment:
        tap = await attachment.tap("n1")
        for name, arguments, kind, message in REFUSED:
            with pytest.raises(kind, match=message) as caught:
                await getattr(attachment, name)(*arguments)
            assert type(caught.value) is kind
            if isinstance(caught.value, UnknownNodeError):
                assert (caught.value.found, caught.value.known) == ("x", ("n0", "n1", "n2"))
        with pytest.raises(InputError, match="timestamp_us"):
            await attachment.publish("n0", "x", timestamp_us=-1)
        assert await talk.said("x") == "xab"
        assert await shown(tap) == "xa"


async def test_many_ask_at_once_and_each_hears_its_own(client: Client) -> None:
    async with Talking(client, *MIXED) as talk, client.attach(talk.session_id) as attachment:

        async def ask(number: int) -> object:
            if number % 3 == 0:
                return await attachment.publish("n2", f"{number}")
            if number % 3 == 1:
                return await attachment.set_state("n1", NodeState.ENABLED)
            return await attachment.tap(f"x{number}")

        came = await asyncio.gather(*map(ask, range(240)), return_exceptions=True)
        for number, found in enumerate(came):
            if number % 3 == 2:
                assert isinstance(found, UnknownNodeError)
                assert found.found == f"x{number}"
            else:
                assert found in (0, None)
        assert [await talk.heard() for _ in range(80)] == [f"{3 * one}b" for one in range(80)]


async def test_a_call_that_is_given_up_shifts_no_other(client: Client) -> None:
    """Four wait at the service for room, the others here; one of each gives up."""
    async with (
        Talking(client, "EchoNode", channel_capacity=1) as talk,
        client.attach(talk.session_id) as attachment,
    ):
        intercept = await attachment.intercept("n0", HOUR_S)
        await talk.say("x")
        request = await anext(intercept)
        publishing = [
            asyncio.create_task(attachment.publish("n0", f"p{number}")) for number in range(8)
        ]
        with pytest.raises(UnknownNodeError):  # by now those before it are at the service
            await attachment.tap("nowhere")
        waiting = [number for number, task in enumerate(publishing) if not task.done()]
        assert len(waiting) >= 5
        written, unwritten = waiting[0], waiting[-1]
        for number in (written, unwritten):
            publishing[number].cancel()
            with pytest.raises(asyncio.CancelledError):
                await publishing[number]
        with pytest.raises(UnknownNodeError, match="'elsewhere'"):
            await attachment.interrupt("elsewhere")
        expected = ["x", *(f"p{number}" for number in range(8) if number != unwritten)]
        for word in expected:
            assert request.value == Text(word)
            assert await request.let_pass()
            assert await talk.heard() == word
            if word != expected[-1]:
                request = await anext(intercept)
        left = [task for number, task in enumerate(publishing) if number in waiting[1:-1]]
        assert [await task for task in left] == [0] * len(left)


async def test_what_was_given_up_is_taken_back(client: Client, hold: Hold) -> None:
    """A tap or an intercept that nobody has got is nobody's."""
    async with (
        Talking(client, "holds") as talk,
        client.attach(talk.session_id) as one,
        client.attach(talk.session_id) as two,
    ):
        assert await talk.said(hold.path) == "held"  # it computes, and heeds nothing new
        asking = [asyncio.create_task(ask("n0")) for ask in (one.tap, one.intercept)]
        with pytest.raises(UnknownNodeError):  # by now they are at the service
            await one.tap("nowhere")
        for task in asking:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        hold.release()
        assert await talk.heard() == "released"
        tap = await one.tap("n0")
        intercept = await two.intercept("n0", HOUR_S)  # it is free
        await talk.say(hold.path)
        assert await (await anext(intercept)).replace("!")
        assert await talk.heard() == "!"
        hold.release()
        assert await (await anext(intercept)).drop()
        assert [await shown(tap), await shown(tap)] == ["held", "released"]


async def test_an_attachment_is_opened_once_and_used_while_it_is_open(client: Client) -> None:
    async with Talking(client, *MIXED) as talk:
        attachment = client.attach(talk.session_id)
        with pytest.raises(SessionError, match="has not been opened"):
            await attachment.tap("n0")
        async with attachment:
            tap = await attachment.tap("n0")
            reading = asyncio.create_task(anext(tap))
            with pytest.raises(SessionError, match="opened once"):
                await attachment.__aenter__()
            await asyncio.sleep(0)
        with pytest.raises(StopAsyncIteration):
            await reading
        await tap.aclose()
        with pytest.raises(SessionClosedError, match="the attachment has been closed"):
            await attachment.publish("n0", "x")
        assert await talk.said("x") == "xab"


async def test_who_waits_when_the_block_is_left_is_told_so(client: Client) -> None:
    async with Talking(client, "EchoNode", channel_capacity=1) as talk:
        async with client.attach(talk.session_id) as attachment:
            intercept = await attachment.intercept("n0", HOUR_S)
            await talk.say("x")
            await anext(intercept)
            waiting = [asyncio.create_task(attachment.publish("n0", "p")) for _ in range(9)]
            await asyncio.sleep(0)
        with pytest.raises(SessionClosedError):
            await waiting[-1]
        await asyncio.gather(*waiting, return_exceptions=True)
        assert await talk.heard() == "x"
