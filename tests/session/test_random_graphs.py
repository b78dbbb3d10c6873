"""Whatever the graph, the capacities and the reader: conserved at the end, or a ring is named."""

import asyncio
import itertools
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from penstock.data import CLIENT, Text
from penstock.errors import StallError
from penstock.session import Session, SessionOptions

NODES = Path(__file__).with_name("graph_nodes.py")
LIMIT_S = 15
STALL_S = 0.3
KINDS = st.one_of(
    st.just(("pass_on", {})),
    st.just(("quick", {})),
    st.just(("together", {})),
    st.just(("linger", {})),
    st.builds(lambda count: ("spread", {"count": count}), st.integers(2, 3)),
    st.builds(lambda count: ("gather", {"count": count}), st.integers(2, 7)),
)


JOIN = ("pair", {})
JOINS = st.one_of(st.just(JOIN), st.just(("pair", {"tolerance_us": 0})))


@st.composite
def graphs(draw):
    """Nodes that two or more connections lead to may be joins."""
    count = draw(st.integers(2, 6))
    pairs = [(i, j) for j in range(count) for i in range(j)]
    edges = draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=7, unique=True))
    executors = st.sampled_from(["native", "multiprocess"])
    fed = Counter(target for _, target in edges)
    kinds = [draw(st.one_of(KINDS, JOINS) if fed[place] > 1 else KINDS) for place in range(count)]
    return {
        "version": "v1",
        "metadata": {
            "name": "random",
            "multiprocess": {
                "channel_capacity": 5,
                "stall_timeout_secs": STALL_S,
                "executor_overrides": {f"n{place}": draw(executors) for place in range(count)},
            },
        },
        "nodes": [
            {"id": f"n{place}", "node_type": kind, "params": params}
            for place, (kind, params) in enumerate(kinds)
        ],
        "connections": [
            {
                "from": f"n{source}",
                "to": f"n{target}",
                "channel_capacity": draw(st.integers(1, 5)),
                "enable_backpressure": draw(st.booleans()),
                "drop_policy": draw(st.sampled_from(["newest", "oldest"])),
            }
            for source, target in edges
        ],
    }


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(graphs(), st.integers(0, 25), st.booleans())
def test_every_session_ends_with_everything_counted_or_names_a_ring(manifest, count, writes_first):
    asyncio.run(checked(manifest, count, writes_first=writes_first))


async def checked(manifest, count, *, writes_first):
    session = Session(manifest, SessionOptions(nodes=(NODES,)))
    try:
        async with asyncio.timeout(LIMIT_S), session:
            sent, read = await used(session, count, writes_first=writes_first)
    except StallError as stalled:
        joins = session.plan.joins
        event(f"stalled, {'with' if joins else 'without'} joins")
        assert writes_first or joins
        check_ring(stalled.ring, session.plan, joins)
    else:
        event("conserved")
        check_conservation(await session.metrics(), session.plan, sent, read)


async def used(session, count, *, writes_first):
    """What was sent to each source, and read from each sink."""
    sent, read = Counter(), Counter()

    async def feed():
        for number in range(count):
            for source in session.sources:
                await session.send(source, Text(f"{number}"))
                sent[source] += 1
        await session.end()

    feeding = asyncio.create_task(feed())
    if writes_first:
        await feeding
    async for output in session.outputs():
        read[output.node_id] += 1
    await feeding
    return sent, read


def check_ring(ring, plan, joins):
    """Each waits for the next: for room along a connection, for an input against one.

    Without joins everybody waits for room, from the client through the nodes and back to it.
    """
    for_room = {(e.source, e.target) for e in plan.edges if e.backpressure}
    for_room |= {("client", source) for source in plan.sources}
    for_room |= {(sink, "client") for sink in plan.sinks}
    for_input = {(target, source) for source, target in for_room}
    for_input |= {(e.target, e.source) for e in plan.edges}
    steps = set(itertools.pairwise([*ring, ring[0]]))
    assert steps <= for_room | for_input
    if steps & for_input - for_room:
        assert joins & set(ring)
    else:
        assert ring[0] == "client"


def check_conservation(metrics, plan, sent, read):
    lossless = {(e.source, e.target) for e in plan.edges if e.backpressure}
    taken = Counter()
    for lane in metrics.lanes:
        where = (lane.source, lane.target)
        dropped = sum(lane.dropped.values())
        given_to_lane = (
            sent[lane.target] if lane.source == CLIENT else metrics.nodes[lane.source].outputs
        )
        assert lane.sent == given_to_lane, where
        assert lane.sent == lane.received + dropped, where
        assert lane.waiting == 0, where
        assert not (dropped and (where in lossless or CLIENT in where)), where
        taken[lane.target] += lane.received
        if lane.target == CLIENT:
            assert lane.received == read[lane.source], where
    arms = Counter(edge.target for edge in plan.edges)
    for node_id, node in metrics.nodes.items():
        each = arms[node_id] if plan.node(node_id).is_join else 1
        assert node.items_processed * each + node.unmatched == taken[node_id], node_id
