"""Inputs and node states from outside the pipeline, in every process."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from bus_rig import MIXED, opened, skipped, three
from pipelines import chain

from penstock.data import Json, Text
from penstock.errors import (
    InvalidValueError,
    NodeAddressError,
    SessionCancelledError,
    SessionClosedError,
)
from penstock.session import NodeState
from tests.talking import Talk


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
        with pytest.raises(InvalidValueError, match=r"one of Audio, .*, Text, .* got str"):
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
            async with session.attach() as third:
                await third.confirmed("n1")  # a state is on its way, as an input is
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
