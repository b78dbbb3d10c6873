"""Who waits for whom: rings that can't move, and the node that holds the others up. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from penstock.data import CLIENT

LIKE_SHARE = 0.5
"""A node passes its waiting on where it waits itself for this share of the time."""


class Blocking(NamedTuple):
    """For how long, in seconds, ``source`` could send nothing more to ``target``."""

    source: str
    target: str
    blocked_s: float


def held_up_by(lane: Blocking, lanes: Sequence[Blocking]) -> str | None:
    """The node that causes a lane's blocking; None where it was never blocked.

    That is its target, unless the target itself was blocked for a like share of the time:
    then whoever blocked that the longest, and so on downstream. ``CLIENT`` where it is the
    client that doesn't read.
    """
    if lane.blocked_s <= 0:
        return None
    least_s = LIKE_SHARE * lane.blocked_s
    at = lane.target
    while at != CLIENT:  # a graph of nodes has no rings, but through the client
        onward = max(
            (other for other in lanes if other.source == at and other.blocked_s >= least_s),
            key=lambda other: other.blocked_s,
            default=None,
        )
        if onward is None:
            break
        at = onward.target
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
