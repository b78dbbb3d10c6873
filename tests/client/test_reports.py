"""What a node did with its inputs, as its service measured it: none is missing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from attaching import chain

from penstock.client import Client, NodeReport
from penstock.data import Text
from penstock.nodes import Catalogue
from penstock.session import NodeState

JOINING = Path(__file__).parents[1] / "session" / "joining_nodes.py"


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue.installed().extended("penstock.testing.faults", JOINING)


async def test_what_a_node_was_left_out_of_and_what_was_dropped_behind_it(client: Client) -> None:
    async with client.stream(chain("PassThrough", "EchoNode")) as stream:
        outputs = stream.outputs()
        async with client.attach(stream.session_id) as attachment:
            await attachment.set_state("n1", NodeState.BYPASS)
            for text in ("past it", "past it, too"):
                await stream.send("n0", Text(text))
                assert (await anext(outputs)).value == Text(text)
            await attachment.set_state("n1", NodeState.ENABLED)
            intercept = await attachment.intercept("n1")
            await stream.send("n0", Text("dropped"))
            assert await (await anext(intercept)).drop()
        await stream.close()
        assert [output async for output in outputs] == []
    assert stream.final_metrics is not None
    node = stream.final_metrics.nodes["n1"]
    assert (node.items_processed, node.skipped, node.withheld) == (1, 2, 1)
    assert others(node) == (0, 0, 0)


def others(node: NodeReport) -> tuple[int, int, int]:
    return node.unmatched, node.filtered, node.interrupted


async def test_what_a_join_has_no_other_side_for(client: Client) -> None:
    manifest = chain("PassThrough", "PassThrough", "mix_native")
    manifest["connections"] = [{"from": name, "to": "n2"} for name in ("n0", "n1")]
    async with client.stream(manifest) as stream:
        for number in (1, 2):
            await stream.send("n0", Text("one side"), sequence=number)
        await stream.send("n1", Text("the other"), sequence=2)
        await stream.close()
        assert len([output async for output in stream.outputs()]) == 1
    assert stream.final_metrics is not None
    node = stream.final_metrics.nodes["n2"]
    assert (node.items_processed, *others(node)) == (1, 1, 0, 0)


async def test_what_is_of_no_kind_that_a_node_takes(client: Client) -> None:
    outcome = await client.execute(chain("PassThrough", "AudioChunkerNode"), {"n0": Text("x")})
    node = outcome.metrics.nodes["n1"]
    assert (node.items_processed, *others(node)) == (0, 0, 1, 0)


async def test_what_an_interrupt_took_a_node_at(client: Client) -> None:
    manifest = chain("flood_outputs", params={"times": 1_000_000}, channel_capacity=1)
    async with client.stream(manifest) as stream:
        outputs = stream.outputs()
        for _ in range(5):
            await stream.send("n0", Text("x"))
            await anext(outputs)
            await asyncio.sleep(0.1)  # until it waits with an output that there is no room for
            await stream.interrupt()
        await stream.close()
        async for _ in outputs:
            continue
    assert stream.final_metrics is not None
    assert stream.final_metrics.nodes["n0"].interrupted > 0
