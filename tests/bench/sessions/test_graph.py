"""Sessions for the benchmarks: their shapes, and nodes that hold back."""

from __future__ import annotations

from bench.hops.link import RigLink
from bench.hops.payload import Order
from bench.sessions.gate import open_gate
from bench.sessions.graph import Graph, graph_rig
from bench.sessions.usage import shared_bytes

NBYTES = 100_000


def test_a_chain_has_a_hop_more_than_pass_through_nodes() -> None:
    chain = Graph.chain(2)
    assert chain.edges == [("source", "pass-0"), ("pass-0", "pass-1"), ("pass-1", "target")]
    assert Graph.chain(0).edges == [("source", "target")]


async def test_each_target_of_a_fan_sees_everything() -> None:
    async with graph_rig(Graph.fan(3)) as rig:
        arrivals = await rig.run(Order(4, NBYTES))
        assert [arrival.count for arrival in arrivals] == [4, 4, 4]


async def test_a_chain_goes_in_turns_whether_its_payload_is_new_or_not() -> None:
    for source in ("ChainSource", "RepeatingSource"):
        async with graph_rig(Graph.chain(1, source)) as rig:
            (arrival,) = await rig.run(Order(4, NBYTES, turns=True))
            assert len(arrival.hops_ns) == 4
            assert all(0 < hop_ns <= arrival.took_ns for hop_ns in arrival.hops_ns)


async def test_payloads_lie_in_shared_memory_while_a_node_holds_back() -> None:
    async with graph_rig(Graph.fan(1, "Filler", "Holder")) as rig:
        with RigLink(rig.link) as link:
            for _ in range(2):
                await rig.order(Order(10, NBYTES))
                link.wait_until_ready(1)
                assert shared_bytes(rig.pids) >= 10 * NBYTES
                open_gate(rig.link, "target-0")
                (arrival,) = await rig.arrivals()
                assert arrival.count == 10
