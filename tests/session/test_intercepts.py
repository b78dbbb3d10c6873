"""Intercepts: each output of a node waits for a verdict, in every process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from bus_rig import MIXED, opened, three
from pipelines import chain

from penstock.data import Binary, Json, Text
from penstock.errors import (
    InvalidValueError,
    NodeAddressError,
    NodeExitedError,
    ResourceLimitError,
)
from penstock.session import Interruption
from tests.talking import Talk


@contextlib.contextmanager
def no_more_files(spared: int) -> Iterator[None]:
    """This process may open so many files, and no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = [os.dup(0) for _ in range(spared + 1)]
    for fd in free:
        os.close(fd)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(free), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("spared", [0, 4])
async def test_an_intercept_without_descriptors_is_refused_and_the_next_is_not(
    spared: int, around: dict[str, Any]
) -> None:
    """Also where there are some for the verdicts and none for the questions."""
    async with (
        opened(three({"n1": "multiprocess"}), around) as session,
        session.attach() as attachment,
    ):
        with no_more_files(spared), pytest.raises(ResourceLimitError, match="ulimit -n"):
            await attachment.intercept("n1")
        talk = Talk(session)
        intercept = await attachment.intercept("n1", deadline_s=60)
        await session.send("n0", Text("p"))
        assert (await anext(intercept)).let_pass()
        assert await talk.heard() == "pabc"


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
