"""What the connections of a session carried, and who held them up, for people. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.cli.table import columns
from penstock.data import CLIENT
from penstock.session import LaneMetrics

_HEADER = (
    "from",
    "to",
    "strategy",
    "sent",
    "received",
    "dropped",
    "copies",
    "blocked",
    "held up by",
)


def lane_table(lanes: Sequence[LaneMetrics]) -> str:
    """A line for each connection; what waited the longest comes first."""
    longest_first = sorted(lanes, key=lambda lane: -lane.blocked_s)
    return columns(_HEADER, [_row(lane) for lane in longest_first])


def _row(lane: LaneMetrics) -> tuple[str, ...]:
    return (
        _shown(lane.source),
        _shown(lane.target),
        str(lane.strategy),
        str(lane.sent),
        str(lane.received),
        str(sum(lane.dropped.values())),
        str(lane.copies),
        f"{lane.blocked_s:.3f} s",
        _shown(lane.held_up_by or ""),
    )


def _shown(node_id: str) -> str:
    return "(client)" if node_id == CLIENT else node_id
