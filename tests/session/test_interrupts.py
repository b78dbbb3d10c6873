"""Barge-in: what is downstream of a node stops, what is upstream of it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pipelines import chain, options

from penstock.data import Binary, Json, Text
from penstock.errors import (
    InputError,
    NodeError,
    NodeExecutionError,
    NodeTimeoutError,
    SessionClosedError,
)
from penstock.session import Interruption, Output, Session

NODES = str(Path(__file__).parent / "interrupted_nodes.py")


def opened(manifest: dict[str, Any], around: dict[str, Any], **more: Any) -> Session:
    return Session(manifest, options((NODES,), **around, **more))


async def until(outputs: AsyncIterator[Output], text: str) -> list[str]:
    """What comes up to a text, and that."""
    found = []
    async for output in outputs:
        assert isinstance(output.value, Text)
        found.append(output.value.text)
        if output.value.text == text:
            return found
    raise AssertionError(f"{text} never came, only {found}")


async def reported(session: Session, outputs: AsyncIterator[Output]) -> Any:
    await session.send("n0", Text("report"))
    output = await anext(outputs)
    assert isinstance(output.value, Json)
    return output.value.value


@pytest.mark.parametrize("kind", ["RepeatsHere", "RepeatsOnThread", "RepeatsApart"])
async def test_a_generator_is_closed_and_its_node_told(kind: str, around: dict[str, Any]) -> None:
    manifest = chain("PassThrough", kind, channel_capacity=4)
    async with opened(manifest, around) as session:
        outputs = session.outputs()
        await session.send("n0", Text("old"))
        await anext(outputs)
        await session.interrupt("n0")
        assert await reported(session, outputs) == {"closed": 1, "told": 1}
        await session.end()
        assert [output async for output in outputs] == []


@pytest.mark.parametrize(
    "kind", ["WaitsHere", "WaitsApart", "WaitsForSeveral", "WaitsForSeveralHere"]
)
async def test_what_waits_is_cancelled(kind: str, around: dict[str, Any]) -> None:
    async with opened(chain("PassThrough", kind), around) as session:
        outputs = session.outputs()
        for number in (1, 2):
            await session.send("n0", Text("old"))
            await anext(outputs)
            await session.interrupt("n0")
            said = await reported(session, outputs)
            assert said == {"closed": number, "told": number}
        await session.end()
        assert [output async for output in outputs] == []


@pytest.mark.parametrize("kind", ["ComputesApart", "ComputesOnThread"])
async def test_what_computes_sees_it_and_its_result_is_dropped(
    kind: str, around: dict[str, Any]
) -> None:
    async with opened(chain("PassThrough", kind, "PassThrough"), around) as session:
        outputs = session.outputs()
        await session.send("n0", Text("long"))
        await until(outputs, "began long")
        await session.interrupt("n0")
        await session.send("n0", Text("new"))
        assert await until(outputs, "began new") == ["began new"]
        await session.end()
        assert [output async for output in outputs] == []


async def test_nothing_stale_comes_out_though_every_lane_is_full(around: dict[str, Any]) -> None:
    """Three process hops, all full, and a client that reads only later."""
    manifest = chain(
        "PassThrough",
        "RepeatsApart",
        "PassThrough",
        "PassThrough",
        channel_capacity=8,
        executor_overrides={"n2": "multiprocess", "n3": "multiprocess"},
    )
    async with opened(manifest, around) as session:
        outputs = session.outputs()
        await session.send("n0", Text("old"))
        await anext(outputs)
        for _ in range(20):
            await anext(outputs)
        await session.interrupt("n0")
        await session.send("n0", Text("new"))
        for number in range(50):
            assert (await anext(outputs)).value == Text(f"new {number}")
        await session.cancel("enough")


async def test_what_is_upstream_and_the_node_itself_go_on(around: dict[str, Any]) -> None:
    """The node that is named is amid a generator: the rest of that is of the new turn."""
    manifest = chain("RepeatsApart", ("PassThrough", {}), channel_capacity=2)
    async with opened(manifest, around) as session:
        outputs = session.outputs()
        await session.send("n0", Text("word"))
        await anext(outputs)
        await session.interrupt("n0")
        rest = [int((await anext(outputs)).value.text.split()[1]) for _ in range(50)]
        assert rest[0] >= 1
        assert rest == list(range(rest[0], rest[0] + 50))
        await session.cancel("enough")


async def test_all_that_the_client_sent_can_be_given_up(around: dict[str, Any]) -> None:
    told: list[Interruption] = []
    manifest = chain("RepeatsApart", channel_capacity=4)
    async with opened(manifest, around, on_interrupt=told.append) as session:
        outputs = session.outputs()
        for number in range(4):
            await session.send("n0", Text(f"old{number}"))
        await anext(outputs)
        assert await session.interrupt() == 1
        await session.send("n0", Text("new"))
        assert (await anext(outputs)).value == Text("new 0")
        await session.cancel("enough")
    assert told == [Interruption(None, None, 1, ("n0",))]


@pytest.mark.parametrize("target", [None, "n0"])
@pytest.mark.parametrize("kind", ["ListensHere", "ListensOnThread", "ListensApart"])
async def test_a_node_interrupts_what_follows_and_what_it_gives_then_is_kept(
    kind: str, target: str | None, around: dict[str, Any]
) -> None:
    told: list[Interruption] = []
    endless = ("RepeatsApart", {"times": 1_000_000})
    manifest = chain((kind, {"target": target}), endless, channel_capacity=4)
    async with opened(manifest, around, on_interrupt=told.append) as session:
        outputs = session.outputs()
        await session.send("n0", Text("old"))
        await anext(outputs)
        await session.send("n0", Text("stop"))
        found = await until(outputs, "stop 0")
        assert all(text.startswith("old") for text in found[:-1])
        for number in range(1, 1000):
            assert (await anext(outputs)).value == Text(f"stop {number}")
        await session.interrupt("n0")
        assert await reported(session, outputs) == {"closed": 2, "told": 2}
        await session.end()
        assert [output async for output in outputs] == []
    assert told == [
        Interruption("n0", "n0", 1, ("n1",)),
        Interruption("n0", None, 2, ("n1",)),
    ]


async def test_inputs_that_come_by_another_way_are_kept(around: dict[str, Any]) -> None:
    """n1 is interrupted behind n0; what n2 gives it is no affair of that turn."""
    connections = [("n0", "n1"), ("n2", "n1")]
    manifest = chain("PassThrough", "RepeatsApart", "PassThrough", connections=connections)
    manifest["nodes"][1]["params"] = {"times": 100_000}
    async with opened(manifest, around) as session:
        outputs = session.outputs()
        await session.send("n0", Text("old"))
        await anext(outputs)
        await session.send("n2", Text("other"))
        await session.interrupt("n0")
        assert (await until(outputs, "other 0"))[-1] == "other 0"
        await session.cancel("enough")


async def test_memory_of_what_was_dropped_comes_back(around: dict[str, Any]) -> None:
    """Far more than the pool holds goes by, and most of it is dropped unseen."""
    manifest = chain("PassThrough", "Holds", channel_capacity=4, max_message_bytes=1 << 20)
    async with opened(manifest, around) as session:
        outputs = session.outputs()
        for turn in range(20):
            for _ in range(3):
                await session.send("n0", Binary(np.zeros(1 << 20, np.uint8)))
            await session.interrupt()
            await session.send("n0", Binary(np.full(1 << 20, turn + 1, np.uint8)))
            output = await anext(outputs)
            assert isinstance(output.value, Binary)
            assert output.value.data[0] == turn + 1
            del output
        await session.end()
        assert [output async for output in outputs] == []
        metrics = await session.metrics()
        dropped = sum(lane.dropped.get("interrupted", 0) for lane in metrics.lanes)
        assert dropped + metrics.nodes["n1"].interrupted + metrics.nodes["n0"].interrupted >= 20
        for lane in metrics.lanes:
            assert lane.sent == lane.received + sum(lane.dropped.values())


async def test_a_node_that_there_is_not(around: dict[str, Any]) -> None:
    async with opened(chain("PassThrough"), around) as session:
        with pytest.raises(InputError, match=r"no node has the ID 'x' \(there are n0\)"):
            await session.interrupt("x")
        await session.end()
        assert [output async for output in session.outputs()] == []
        with pytest.raises(SessionClosedError):
            await session.interrupt("n0")


async def test_a_node_that_names_one_that_there_is_not(around: dict[str, Any]) -> None:
    manifest = chain(("ListensApart", {"target": "x"}))
    async with opened(manifest, around) as session:
        await session.send("n0", Text("stop"))
        with pytest.raises(NodeError, match="it interrupts another, but no node has the ID 'x'"):
            await anext(session.outputs())


@pytest.mark.parametrize("kind", ["FailsApart", "FailsHere"])
async def test_a_node_that_raises_when_it_is_told_ends_its_session(
    kind: str, around: dict[str, Any]
) -> None:
    async with opened(chain("PassThrough", kind), around) as session:
        outputs = session.outputs()
        await session.send("n0", Text("a"))
        await anext(outputs)
        await session.interrupt("n0")
        with pytest.raises(NodeExecutionError, match="interrupt raised LookupError: what turn"):
            await anext(outputs)


async def test_a_node_that_hangs_when_it_is_told_is_ended(around: dict[str, Any]) -> None:
    manifest = chain("PassThrough", "HangsToldOf", process_timeout_secs=0.2)
    async with opened(manifest, around) as session:
        outputs = session.outputs()
        await session.send("n0", Text("a"))
        await anext(outputs)
        await session.interrupt("n0")
        with pytest.raises(NodeTimeoutError, match=r"interrupt did not end within 0\.2 s"):
            await anext(outputs)


async def test_many_interrupts_while_everything_moves(around: dict[str, Any]) -> None:
    """Each turn's outputs are of that turn, from the moment it began."""
    manifest = chain("PassThrough", "RepeatsApart", "RepeatsHere", channel_capacity=16)
    manifest["nodes"][1]["params"] = {"times": 20}
    manifest["nodes"][2]["params"] = {"times": 5}
    async with opened(manifest, around) as session:
        outputs = session.outputs()
        for turn in range(100):
            await session.interrupt()
            await session.send("n0", Text(f"t{turn}"))
            for _ in range(turn % 7):
                output = await anext(outputs)
                assert output.value.text.startswith(f"t{turn} "), turn
        await session.end()
        rest = [output.value.text async for output in outputs]
        assert rest[-1] == "t99 19 4"
        assert len(rest) == 100 - 99 % 7


async def test_the_end_of_the_stream_comes_after_an_interrupt(around: dict[str, Any]) -> None:
    async with opened(chain("PassThrough", "RepeatsApart"), around) as session:
        outputs = session.outputs()
        await session.send("n0", Text("old"))
        await anext(outputs)
        await session.end()
        await session.interrupt()
        async with asyncio.timeout(10):
            assert [output async for output in outputs] == []
