"""One producer, several consumers, each with its own buffer and its own rule when that is full.

The slow consumer stands at a gate, a FIFO, until the test opens it: nothing depends on timing.
"""

import asyncio
import os
from pathlib import Path

import pytest
from graph_nodes import reached

from penstock.bridges import LaneState
from penstock.data import Text
from penstock.errors import StallError
from penstock.session import Session, SessionOptions

NODES = Path(__file__).with_name("graph_nodes.py")
COUNT = 300
CAPACITY = 4


@pytest.fixture
def gate(tmp_path):
    path = tmp_path / "gate"
    os.mkfifo(path)
    return path


async def open_gate(gate):
    """As soon as the node stands at it."""
    await asyncio.to_thread(lambda: os.close(os.open(gate, os.O_WRONLY)))


def fork(gate, producer, fast, slow, **slow_edge):
    """``n0`` feeds ``fast`` and, through an edge with options, ``slow``."""
    return {
        "version": "v1",
        "metadata": {
            "name": "fork",
            "multiprocess": {
                "executor_overrides": {"n0": producer, "fast": fast, "slow": slow},
            },
        },
        "nodes": [
            {"id": "n0", "node_type": "pass_on"},
            {"id": "fast", "node_type": "pass_on"},
            {"id": "slow", "node_type": "gated", "params": {"path": str(gate)}},
        ],
        "connections": [
            {"from": "n0", "to": "fast"},
            {"from": "n0", "to": "slow", "channel_capacity": CAPACITY, **slow_edge},
        ],
    }


async def feed(session, numbers=range(COUNT)):
    for number in numbers:
        await session.send("n0", Text(str(number)))
    await session.end()


async def feed_once_it_stands(session, gate):
    """The rest comes when the slow one has its first message, and stands at the gate."""
    await session.send("n0", Text("0"))
    while not reached(gate).exists():  # noqa: ASYNC110  # it is in another process
        await asyncio.sleep(0)
    await feed(session, range(1, COUNT))


async def lanes_of(session):
    return {(lane.source, lane.target): lane for lane in (await session.metrics()).lanes}


PLACES = [
    ("multiprocess", "multiprocess", "multiprocess"),
    ("native", "native", "multiprocess"),
    ("multiprocess", "native", "native"),
    ("native", "native", "native"),
]


@pytest.mark.parametrize("keep", ["newest", "oldest"])
@pytest.mark.parametrize("places", PLACES)
async def test_a_consumer_that_may_miss_some_holds_up_nobody(gate, places, keep):
    """The fast one has everything before the slow one has looked at its second message."""
    manifest = fork(gate, *places, enable_backpressure=False, drop_policy=keep)
    async with Session(manifest, SessionOptions(nodes=(NODES,))) as session:
        feeding = asyncio.create_task(feed_once_it_stands(session, gate))
        fast, slow = [], []
        async for output in session.outputs():
            (fast if output.node_id == "fast" else slow).append(int(output.value.text))
            if len(fast) == COUNT and not slow:
                await feeding
                await open_gate(gate)
    lane = (await lanes_of(session))["n0", "slow"]
    assert fast == list(range(COUNT))
    assert slow == sorted(set(slow))
    assert len(slow) + sum(lane.dropped.values()) == lane.sent == COUNT
    assert 1 + CAPACITY <= len(slow) <= 1 + 2 * CAPACITY
    if keep == "newest":
        assert slow[-1] == COUNT - 1
    else:
        assert slow[: 1 + CAPACITY // 2] == list(range(1 + CAPACITY // 2))
    assert lane.blocked_s == 0
    assert (await lanes_of(session))["n0", "fast"].dropped == {}


@pytest.mark.parametrize("places", PLACES)
async def test_a_consumer_that_may_miss_nothing_holds_up_its_producer_and_is_named(gate, places):
    """The fast one gets what the slow one's buffer has room for, and then the rest."""
    async with Session(fork(gate, *places), SessionOptions(nodes=(NODES,))) as session:
        feeding = asyncio.create_task(feed(session))
        outputs = session.outputs()
        first = [await anext(outputs) for _ in range(CAPACITY)]
        assert {output.node_id for output in first} == {"fast"}
        while (await lanes_of(session))["n0", "slow"].state is not LaneState.BLOCKED:  # noqa: ASYNC110  # nobody tells, it can only be asked
            await asyncio.sleep(0)
        await open_gate(gate)
        rest = [output async for output in outputs]
        await feeding
    lanes = await lanes_of(session)
    for arm in ("fast", "slow"):
        texts = [int(o.value.text) for o in (*first, *rest) if o.node_id == arm]
        assert texts == list(range(COUNT))
        assert lanes["n0", arm].dropped == {}
    assert lanes["n0", "slow"].blocked_s > 0
    assert lanes["n0", "slow"].held_up_by == "slow"


@pytest.mark.parametrize("places", PLACES)
async def test_a_client_that_writes_everything_first_runs_where_there_is_room(gate, places):
    """Ten messages into lanes of a hundred; eleven hundred don't fit, and the ring is named."""
    manifest = fork(gate, *places, enable_backpressure=False)
    manifest["metadata"]["multiprocess"]["stall_timeout_secs"] = 0.3
    always_open = os.open(gate, os.O_RDWR)
    try:
        async with Session(manifest, SessionOptions(nodes=(NODES,))) as session:
            await feed(session, range(10))
            fast = [o.value.text async for o in session.outputs() if o.node_id == "fast"]
        async with Session(manifest, SessionOptions(nodes=(NODES,))) as session:
            with pytest.raises(StallError) as stalled:
                await feed(session, range(1_100))
    finally:
        os.close(always_open)
    assert fast == [str(number) for number in range(10)]
    assert stalled.value.ring == ("client", "n0", "fast")
