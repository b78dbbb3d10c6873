"""Who waits for whom: rings that can't move, and the node that holds the others up. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import NamedTuple

from penstock.data import CLIENT

LIKE_SHARE = 0.5
"""A node passes its waiting on where it waits itself for this share of the time."""


class Blocking(NamedTuple):
    """For how long, in seconds, ``source`` could send nothing more to ``target``."""

    source: str
    target: str
    blocked_s: float


def held_up_by(
    lane: Blocking, lanes: Sequence[Blocking], joins: Set[str] = frozenset()
) -> str | None:
    """The node that causes a lane's blocking; None where it was never blocked.

    That is its target, unless the target itself was blocked for a like share of the time:
    then whoever blocked that the longest, and so on downstream. Where that is one of the
    ``joins`` which lacks inputs, it is the node that keeps it waiting. ``CLIENT`` where it is
    the client that doesn't read, or doesn't send.
    """
    if lane.blocked_s <= 0:
        return None
    full = [other for other in lanes if other.blocked_s >= LIKE_SHARE * lane.blocked_s]
    at = _last_blocked(lane.target, full)
    return _first_lacking(at, lanes, full, joins) if at in joins else at


def _last_blocked(at: str, full: Sequence[Blocking]) -> str:
    """Downstream, to the first that isn't blocked itself."""
    while at != CLIENT:  # a graph of nodes has no rings, but through the client
        onward = [other for other in full if other.source == at]
        if not onward:
            break
        at = max(onward, key=lambda other: other.blocked_s).target
    return at


def _first_lacking(
    at: str, lanes: Sequence[Blocking], full: Sequence[Blocking], joins: Set[str]
) -> str:
    """Upstream of a join, to the first that doesn't lack inputs, or whose producers can't go on.

    A join lacks inputs where any lane into it has room, another node where all have.
    """
    blocked = {other.source for other in full} - {CLIENT}  # who may send elsewhere meanwhile
    while at != CLIENT:
        inbound = [other for other in lanes if other.target == at]
        roomy = [other for other in inbound if other not in full and other.source not in blocked]
        if not roomy or (at not in joins and len(roomy) < len(inbound)):
            break
        at = min(roomy, key=lambda other: other.blocked_s).source
    return at


class Wait(NamedTuple):
    """What a node waits for: one of the nodes ``on`` with ``for_any``, else each of them."""

    on: tuple[str, ...]
    for_any: bool = False


def stuck(waits: Mapping[str, Wait]) -> dict[str, list[str]]:
    """The nodes that can't go on whatever the others do, with those of them they wait for.

    Whoever waits for nobody goes on, and so may whoever waits for one that goes on.
    """
    left = {node: wait for node, wait in waits.items() if wait.on}
    while True:
        free = [node for node, wait in left.items() if not _is_stuck(wait, left)]
        if not free:
            return {node: [on for on in wait.on if on in left] for node, wait in left.items()}
        for node in free:
            del left[node]


def _is_stuck(wait: Wait, left: Mapping[str, Wait]) -> bool:
    held = [on in left for on in wait.on]
    return all(held) if wait.for_any else any(held)


def find_ring(waits_for: Mapping[str, Iterable[str]]) -> tuple[str, ...] | None:
    """The first ring in a graph of who waits for whom, or None.

    The ring starts with its member that comes first in ``waits_for``.
    """
    done: set[str] = set()
    for start in waits_for:
        ring = _ring_from(start, waits_for, done)
        if ring is not None:
            return ring
    return None


def _ring_from(
    start: str, waits_for: Mapping[str, Iterable[str]], done: set[str]
) -> tuple[str, ...] | None:
    path = [start]
    branches = [iter(waits_for.get(start, ()))]
    while path:
        following = next((name for name in branches[-1] if name not in done), None)
        if following is None:
            done.add(path.pop())
            branches.pop()
        elif following in path:
            return tuple(path[path.index(following) :])
        else:
            path.append(following)
            branches.append(iter(waits_for.get(following, ())))
    return None
