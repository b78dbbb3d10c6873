"""What the connections of a session carried, and who held them up, for people. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from penstock.cli.table import columns
from penstock.data import CLIENT, Kind
from penstock.planning import Edge
from penstock.session import LaneMetrics

_HEADER = (
    "from",
    "to",
    "strategy",
    "sent",
    "received",
    "dropped",
    "filtered",
    "copies",
    "blocked",
    "held up by",
)


def lane_table(lanes: Sequence[LaneMetrics]) -> str:
    """A line for each connection; what waited the longest comes first."""
    longest_first = sorted(lanes, key=lambda lane: -lane.blocked_s)
    return columns(_HEADER, [_row(lane) for lane in longest_first])


def left_out(lanes: Sequence[LaneMetrics], edges: Sequence[Edge]) -> Iterator[str]:
    """A line for each connection that didn't carry what no other one of its source does either.

    What goes one of several ways, by its kind, isn't lost.
    """
    carried: defaultdict[str, set[Kind]] = defaultdict(set)
    for edge in edges:
        carried[edge.source] |= edge.kinds
    takes = {(edge.source, edge.target): ", ".join(sorted(edge.kinds)) for edge in edges}
    for lane in lanes:
        lost = {kind: n for kind, n in lane.filtered.items() if kind not in carried[lane.source]}
        if lost:
            counts = ", ".join(f"{count} {kind}" for kind, count in lost.items())
            taken = takes[lane.source, lane.target]
            yield (
                f"{lane.source} → {lane.target}: {counts} left out, "
                f"as {lane.target!r} takes only {taken} of {lane.source!r}"
            )


def _row(lane: LaneMetrics) -> tuple[str, ...]:
    return (
        _shown(lane.source),
        _shown(lane.target),
        str(lane.strategy),
        str(lane.sent),
        str(lane.received),
        str(sum(lane.dropped.values())),
        str(sum(lane.filtered.values())),
        str(lane.copies),
        f"{lane.blocked_s:.3f} s",
        _shown(lane.held_up_by or ""),
    )


def _shown(node_id: str) -> str:
    return "(client)" if node_id == CLIENT else node_id
