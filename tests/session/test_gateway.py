"""Where a client meets its session: each sink has its turn."""

from __future__ import annotations

from penstock.bridges import DirectLane, LaneSpec
from penstock.data import CLIENT, Kind, Message, Text
from penstock.session.gateway import Gateway


def outlet(gateway: Gateway, node_id: str) -> DirectLane:
    lane = DirectLane(LaneSpec(1, node_id, CLIENT, frozenset({Kind.TEXT})))
    gateway.add_outlet(node_id, lane.consumer)
    return lane


def give(lane: DirectLane, number: int) -> None:
    assert lane.producer.offer(Message(Text(str(number)), number))


def test_a_sink_that_always_has_more_keeps_nothing_of_another_back() -> None:
    gateway = Gateway()
    flooding, other = outlet(gateway, "flooding"), outlet(gateway, "other")
    give(flooding, 0)
    for number in range(5):
        give(other, number)
    seen: list[tuple[str, int]] = []
    while len(seen) < 20 and (taken := gateway.take()) is not None:
        node_id, message = taken
        seen.append((node_id, message.sequence))
        if node_id == "flooding":
            give(flooding, message.sequence + 1)
    assert [number for name, number in seen if name == "other"] == list(range(5))
    assert [number for name, number in seen if name == "flooding"] == list(range(15))
    assert seen.index(("other", 4)) == 9
