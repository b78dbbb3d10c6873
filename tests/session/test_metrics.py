"""Metrics by connection: what was carried, what was lost, and who held the others up."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipelines import chain, options, through

from penstock.bridges import ConversionStrategy, LaneState
from penstock.data import CLIENT, Text
from penstock.errors import NodeExecutionError, SessionCancelledError
from penstock.session import Blocking, Session, held_up_by

GRAPH = str(Path(__file__).with_name("graph_nodes.py"))
CHAIN = [
    Blocking(CLIENT, "a", 2.0),
    Blocking("a", "b", 1.9),
    Blocking("b", "slow", 1.8),
    Blocking("slow", "c", 0.1),
    Blocking("c", CLIENT, 0.0),
]


@pytest.mark.parametrize(
    ("place", "cause"), [(0, "slow"), (1, "slow"), (2, "slow"), (3, "c"), (4, None)]
)
def test_a_chain_waits_for_the_node_that_waits_for_nobody(place, cause):
    assert held_up_by(CHAIN[place], CHAIN) == cause


def test_a_client_that_does_not_read_is_the_cause():
    lanes = [Blocking(CLIENT, "a", 1.0), Blocking("a", CLIENT, 1.0)]
    assert held_up_by(lanes[0], lanes) == CLIENT


def test_of_several_arms_the_one_that_blocks_the_longest_is_followed():
    lanes = [
        Blocking("a", "fork", 1.0),
        Blocking("fork", "fast", 0.6),
        Blocking("fork", "slow", 0.9),
        Blocking("fork", "idle", 0.0),
    ]
    assert held_up_by(lanes[0], lanes) == "slow"


def test_a_node_that_waited_for_less_than_half_of_the_time_is_itself_the_cause():
    lanes = [Blocking("a", "busy", 1.0), Blocking("busy", "b", 0.4)]
    assert held_up_by(lanes[0], lanes) == "busy"


LACKING = [
    Blocking(CLIENT, "fork", 1.0),
    Blocking("fork", "join", 1.0),
    Blocking("fork", "first", 0.9),
    Blocking("first", "second", 0.1),
    Blocking("second", "join", 0.0),
]


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        ({}, "first"),
        ({("first", "second"): 0.8}, "second"),
        ({("first", "second"): 0.8, ("second", "join"): 0.8}, "join"),
        ({("fork", "first"): 0.0}, "first"),  # it withholds: who feeds it can't go on
        ({("join", CLIENT): 0.7}, CLIENT),
    ],
)
def test_a_join_is_held_up_by_who_keeps_it_waiting(changed, cause):
    times = {(source, target): blocked_s for source, target, blocked_s in LACKING} | changed
    lanes = [Blocking(*ends, blocked_s) for ends, blocked_s in times.items()]
    assert {held_up_by(lane, lanes, {"join"}) for lane in lanes[:2]} == {cause}


def test_a_client_that_keeps_a_join_waiting_is_the_cause():
    lanes = [
        Blocking(CLIENT, "a", 1.0), Blocking("a", "join", 1.0), Blocking(CLIENT, "b", 0.0),
        Blocking("b", "c", 0.0), Blocking("c", "join", 0.0),
    ]  # fmt: skip
    assert held_up_by(lanes[1], lanes, {"join"}) == CLIENT


@given(
    st.lists(
        st.builds(
            lambda pair, blocked_s: Blocking(
                f"n{min(pair)}", f"n{max(pair)}" if max(pair) < 9 else CLIENT, blocked_s
            ),
            st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda pair: len({*pair}) == 2),
            st.floats(0, 10),
        ),
        max_size=20,
    )
)
def test_whoever_is_named_lies_downstream_and_does_not_wait_as_long(lanes):
    for lane in lanes:
        cause = held_up_by(lane, lanes)
        assert (cause is None) == (lane.blocked_s == 0)
        if cause is not None:
            assert cause in downstream(lane.target, lanes)
            onward = [other.blocked_s for other in lanes if other.source == cause != CLIENT]
            assert all(blocked_s < lane.blocked_s / 2 for blocked_s in onward)


def downstream(node_id, lanes):
    found = {node_id}
    while more := {lane.target for lane in lanes if lane.source in found} - found:
        found |= more
    return found


async def lanes_of(manifest, texts, more_nodes=()):
    """Send while reading; the final metrics and those of the lanes by their ends."""
    session = Session(manifest, options(more_nodes))
    async with session:
        await through(session, [Text(text) for text in texts])
    metrics = await session.metrics()
    return metrics, {(lane.source, lane.target): lane for lane in metrics.lanes}


async def test_each_connection_has_its_own_counters():
    metrics, lanes = await lanes_of(chain("PassThrough", "both", "only_text"), ["four"] * 3)
    assert len(metrics.lanes) == len(lanes) == 4
    into, out = lanes[CLIENT, "n0"], lanes["n1", "n2"]
    assert (into.strategy, into.sent, into.received) == (ConversionStrategy.DIRECT, 3, 3)
    assert (out.strategy, out.sent, out.received) == (ConversionStrategy.IPC_TO_NATIVE, 6, 6)
    assert lanes["n0", "n1"].payload_bytes == 12
    assert {lane.state for lane in metrics.lanes} == {LaneState.CLOSED}
    assert {lane.waiting for lane in metrics.lanes} == {0}
    assert all(lane.dropped == {} for lane in metrics.lanes)


@pytest.mark.parametrize("where", ["native", "multiprocess"])
async def test_a_slow_node_is_named_by_everything_that_waits_for_it(where):
    manifest = chain(
        "PassThrough", "EchoNode", "slow", "EchoNode",
        channel_capacity=2, executor_overrides={"n2": where},
    )  # fmt: skip
    _, lanes = await lanes_of(manifest, ["x"] * 40)
    blocked = [lane for lane in lanes.values() if lane.blocked_s > 0.05]
    assert (CLIENT, "n0") in [(lane.source, lane.target) for lane in blocked]
    assert {lane.held_up_by for lane in blocked} == {"n2"}
    assert lanes["n3", CLIENT].held_up_by is None


@pytest.mark.parametrize("where", ["native", "multiprocess"])
async def test_a_slow_arm_of_a_join_is_named(where):
    manifest = chain(
        "PassThrough", "slow", "pair", channel_capacity=2, executor_overrides={"n2": where},
        connections=[("n0", "n1"), ("n0", "n2"), ("n1", "n2")],
    )  # fmt: skip
    _, lanes = await lanes_of(manifest, ["x"] * 40, (GRAPH,))
    blocked = [lane for lane in lanes.values() if lane.blocked_s > 0.05]
    assert ("n0", "n2") in [(lane.source, lane.target) for lane in blocked]
    assert {lane.held_up_by for lane in blocked} == {"n1"}


async def test_what_is_dropped_is_told_by_its_reason():
    manifest = chain("PassThrough", "slow", channel_capacity=2, enable_backpressure=False)
    _, lanes = await lanes_of(manifest, [str(number) for number in range(40)])
    edge = lanes["n0", "n1"]
    assert edge.sent == 40
    assert edge.received + sum(edge.dropped.values()) == 40
    assert set(edge.dropped) <= {"full", "no credit"}
    assert sum(edge.dropped.values()) > 0


async def test_every_message_that_crosses_executors_is_timed():
    """Converted at both ends, in transit once; inside an executor nothing is converted."""
    manifest = chain("PassThrough", "EchoNode", "EchoNode", "PassThrough", "PassThrough")
    metrics, _ = await lanes_of(manifest, ["x" * 2_000] * 30)
    bridges = {bridge.strategy: bridge for bridge in metrics.bridges}
    assert bridges.pop(ConversionStrategy.DIRECT).conversion.count == 0
    assert len(bridges) == 3
    for bridge in bridges.values():
        assert bridge.messages_transferred == bridge.transit.count == 30
        assert bridge.conversion.count == 60
        assert 0 < bridge.conversion.percentile_us(50) <= bridge.conversion.percentile_us(99)
        assert bridge.transit.percentile_us(50) > 0
    for lane in metrics.lanes:
        crosses = lane.strategy is not ConversionStrategy.DIRECT
        assert (lane.conversion.count, lane.transit.count) == ((60, 30) if crosses else (0, 0))
        assert (lane.conversion_time_s > 0, lane.transit_time_s > 0) == (crosses, crosses)


@pytest.mark.parametrize("nodes", [("PassThrough",), ("EchoNode", "EchoNode")])
async def test_the_time_that_nodes_took_is_told_by_item(nodes):
    metrics, _ = await lanes_of(chain(*nodes), ["x"] * 30)
    for node in metrics.nodes.values():
        assert node.processing.count == node.items_processed == 30
        assert 0 < node.processing_time_s <= node.execution_time_s


@pytest.mark.parametrize("executor", ["native", "multiprocess"])
@pytest.mark.parametrize("ending", ["raise_in_process", "cancel"])
async def test_nodes_that_are_stopped_have_told_their_last(executor, ending):
    """Nobody asks while the session runs: what is told was counted up to its early end."""
    others = dict.fromkeys(("n0", "n1"), executor)
    manifest = chain(
        "EchoNode", "PassThrough", ("raise_in_process", {"on": 3}), executor_overrides=others
    )
    session = Session(manifest, options())
    await session.start()
    for _ in range(2):
        await session.send("n0", Text("x"))
    outputs = session.outputs()
    assert [(await anext(outputs)).value for _ in range(2)] == [Text("x")] * 2
    if ending == "cancel":
        await session.cancel("enough")
    else:
        await session.send("n0", Text("x"))
    with pytest.raises((SessionCancelledError, NodeExecutionError)):
        await anext(outputs)
    await session.aclose()
    metrics = await session.metrics()
    items = 2 if ending == "cancel" else 3
    assert [node.items_processed for node in metrics.nodes.values()] == [items] * 3
    assert [node.outputs for node in metrics.nodes.values()] == [items, items, 2]
    assert metrics.nodes["n2"].cpu_time_s > 0
    lanes = {(lane.source, lane.target): lane for lane in metrics.lanes}
    assert lanes["n1", "n2"].received == items
    assert lanes["n2", CLIENT].sent == 2


async def test_what_a_killed_process_used_is_told_by_the_kernel():
    """How many inputs it took, nobody knows."""
    session = Session(chain("EchoNode", "hang_in_process"), options())
    await session.start()
    await session.send("n0", Text("x"))
    await session.cancel("enough")
    killed = (await session.metrics()).nodes["n1"]
    assert killed.cpu_time_s > 0
    assert killed.peak_memory_bytes > 1 << 20


async def test_totals_say_what_all_the_metrics_add_up_to(around):
    """While messages wait, and after some were given up."""
    manifest = chain("PassThrough", "EchoNode")
    session = Session(manifest, options(**around))
    async with session:
        for _ in range(5):
            await session.send("n0", Text("x"))
        outputs = session.outputs()
        await anext(outputs)
        while (totals := await session.totals()).items_processed < 10:
            pass
        metrics = await session.metrics()
        assert (totals.inputs, totals.waiting, totals.dropped) == (5, 4, 0)
        assert_same(totals, metrics)
        await session.interrupt()
        await session.end()
        async for _ in outputs:
            raise AssertionError("it was interrupted")
    totals = await session.totals()
    assert (totals.inputs, totals.waiting, totals.dropped) == (5, 0, 4)
    assert_same(totals, await session.metrics())


def assert_same(totals, metrics):
    same = ["session_id", "inputs", "items_by_kind", "waiting", "dropped", "average_latency_s"]
    assert [getattr(totals, name) for name in same] == [getattr(metrics, name) for name in same]
    items = sum(node.items_processed for node in metrics.nodes.values())
    assert totals.items_processed == items
    assert 0 < totals.peak_memory_bytes <= metrics.peak_memory_bytes  # which may have grown


async def test_a_second_session_of_the_same_plan_counts_from_zero():
    first = Session(chain("PassThrough", "EchoNode"), options())
    async with first:
        assert len(await through(first, [Text("x")] * 5)) == 5
    async with Session(first.plan, options()) as second:
        metrics = await second.metrics()
    assert (metrics.inputs, metrics.outputs, metrics.waiting) == (0, 0, 0)
    for bridge in metrics.bridges:
        assert (bridge.messages_transferred, bridge.bytes_transferred) == (0, 0)
        assert bridge.conversion_latency_us == 0
        assert bridge.conversion.count == bridge.transit.count == 0
    assert {lane.sent for lane in metrics.lanes} == {0}
