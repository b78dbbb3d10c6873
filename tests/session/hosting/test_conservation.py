"""What was sent has arrived or was dropped for a reason, whatever happens to other sessions."""

import asyncio
import itertools

import pytest
from pipelines import chain, options

from penstock.data import Text
from penstock.errors import PenstockError
from penstock.session import Session

BETWEEN = 50
"""Inputs while each of the others crashes."""
CRASHES = ("segfault_in_process", "exit_in_flush", "close_all_fds", "raise_in_setup")
GRAPHS = {
    "chain": chain("PassThrough", "EchoNode", "EchoNode", "PassThrough"),
    "fan-out": chain(
        "EchoNode", "EchoNode", "PassThrough", "collect_native",
        connections=[("n0", "n1"), ("n0", "n2"), ("n1", "n3")],
    ),
    "fan-in": chain(
        "PassThrough", "EchoNode", "EchoNode", "PassThrough",
        connections=[("n0", "n1"), ("n0", "n2"), ("n1", "n3"), ("n2", "n3")],
    ),
    "drops": chain(
        "EchoNode", "slow", "PassThrough", channel_capacity=4, enable_backpressure=False
    ),
}  # fmt: skip


def hosted(manifest, hosts) -> Session:
    return Session(manifest, options(hosts=hosts))


async def crash(kind, executor, hosts) -> None:
    """A session that fails, of the same service."""
    manifest = chain("PassThrough", kind, "EchoNode", executor_overrides={"n1": executor})
    with pytest.raises(PenstockError):
        await run_through(hosted(manifest, hosts))


async def run_through(session) -> None:
    async with session:
        for _ in range(3):
            await session.send("n0", Text("x"))
        await session.end()
        await read(session)


async def read(session) -> int:
    """How many outputs there are."""
    return len([output async for output in session.outputs()])


@pytest.mark.parametrize("name", GRAPHS)
async def test_every_lane_that_ended_by_end_of_stream_adds_up(name, hosts):
    async with hosted(GRAPHS[name], hosts) as session:
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(read(session))
            for kind, executor in itertools.product(CRASHES, ("native", "multiprocess")):
                crashing = group.create_task(crash(kind, executor, hosts))
                for _ in range(BETWEEN):
                    await session.send("n0", Text(f"beside {kind}"))
                await crashing
            await session.end()
        metrics = await session.metrics()
    assert session.context.faults == []
    assert metrics.lanes
    for lane in metrics.lanes:
        assert lane.sent == lane.received + sum(lane.dropped.values()), lane
        assert lane.waiting == 0, lane
    from_client, *_ = (lane for lane in metrics.lanes if lane.source == "@client")
    assert from_client.sent == 2 * len(CRASHES) * BETWEEN
    to_client = [lane for lane in metrics.lanes if lane.target == "@client"]
    assert sum(lane.received for lane in to_client) == reading.result()
    assert (metrics.dropped > 0) is (name == "drops")


@pytest.mark.parametrize("executor", ["native", "multiprocess"])
async def test_what_was_not_delivered_is_told_after_an_abort(executor, hosts):
    """Messages that the client sent lie before a node that takes one and no more."""
    overrides = {"n0": executor}
    async with hosted(chain("never_read", executor_overrides=overrides), hosts) as session:
        for number in range(10):
            await session.send("n0", Text(str(number)))
        await session.cancel("enough")
        metrics = await session.metrics()
    [inlet] = [lane for lane in metrics.lanes if lane.source == "@client"]
    assert inlet.sent == 10
    assert inlet.received <= 1
    assert inlet.sent == inlet.received + sum(inlet.dropped.values()) + inlet.waiting
    assert metrics.waiting == inlet.waiting >= 9
