"""The table of connections: what was held up comes first, the client is named as such."""

from __future__ import annotations

from penstock.bridges import ConversionStrategy, LaneState
from penstock.cli.lanes import lane_table
from penstock.data import CLIENT, Kind
from penstock.session import LaneMetrics


def lane(source: str, target: str, blocked_s: float, held_up_by: str | None) -> LaneMetrics:
    return LaneMetrics(
        source=source,
        target=target,
        strategy=ConversionStrategy.NATIVE_TO_IPC,
        state=LaneState.CLOSED,
        sent=9,
        received=6,
        waiting=0,
        dropped={"full": 2, "no credit": 1},
        filtered={Kind.TEXT: 5},
        copies=4,
        held=0,
        payload_bytes=90,
        blocked_s=blocked_s,
        held_up_by=held_up_by,
    )


def test_the_longest_blocked_comes_first_and_clients_are_shown_as_such() -> None:
    table = lane_table([lane("a", CLIENT, 0.0, None), lane(CLIENT, "a", 1.25, "slow")])
    head, first, second = (line.split() for line in table.splitlines())
    assert head[:3] == ["from", "to", "strategy"]
    assert first == ["(client)", "a", "NativeToIPC", "9", "6", "3", "5", "4", "1.250", "s", "slow"]
    assert second[:2] == ["a", "(client)"]
    assert second[-2:] == ["0.000", "s"]
