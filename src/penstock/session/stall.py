"""Finds rings of members that each wait for the next. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


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
