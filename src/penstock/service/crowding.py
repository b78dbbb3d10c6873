"""Keeps room for newcomers: where connections crowd, some that nobody uses are closed.

Clients that connect and say nothing would keep everybody else out: each has a place for a while,
and can take it anew at once.
"""

from __future__ import annotations

import heapq
import logging
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from typing import Protocol, TypeVar

from penstock.service.pacing import Seldom

_log = logging.getLogger(__name__)
_AT_ONCE = 64
"""Looking through all of them is done for so many newcomers at least."""


class Guest(Protocol):
    """A connection: where it comes from, whether it has ever had a call, and has one now."""

    @property
    def address(self) -> str: ...

    @property
    def has_called(self) -> bool: ...

    @property
    def is_used(self) -> bool: ...

    def abort(self) -> None:
        """Be gone."""


GuestT = TypeVar("GuestT", bound=Guest)


class Crowd:
    """The connections to a service, of which there are at most ``most``.

    A quarter of them is kept free, as long as there are some without a call in progress. Those
    are closed first of which an address has most; of these who has never made a call; of these
    the oldest. So many from one address keep nobody out who comes from another.
    """

    def __init__(self, most: int) -> None:
        self._allowed = most - most // 4
        self._at_once = min(_AT_ONCE, max(most // 16, 1))
        self._seldom = Seldom()

    def make_room(self, connections: Collection[Guest]) -> None:
        """Have some of them leave, the oldest of which come first, where one more is too many."""
        if len(connections) < self._allowed:
            return
        unused = [one for one in connections if not one.is_used]
        leaving = first_to_leave(unused, len(connections) - self._allowed + self._at_once)
        for one in leaving:
            one.abort()
        if closed := self._seldom.add(len(leaving)):
            _log.warning("connections crowd: closed %d that had no call", closed)


def first_to_leave(unused: Iterable[GuestT], count: int) -> Sequence[GuestT]:
    """So many of the connections without a call, of which the oldest come first."""
    silent, quiet = dict[str, list[GuestT]](), dict[str, list[GuestT]]()
    for one in unused:
        (quiet if one.has_called else silent).setdefault(one.address, []).append(one)
    addresses = {**silent, **quiet}
    queues = [deque(silent.get(at, []) + quiet.get(at, [])) for at in addresses]
    longest = [(-len(queue), number) for number, queue in enumerate(queues)]
    heapq.heapify(longest)
    leaving: list[GuestT] = []
    while longest and len(leaving) < count:
        _, number = heapq.heappop(longest)
        leaving.append(queues[number].popleft())
        if queues[number]:
            heapq.heappush(longest, (-len(queues[number]), number))
    return leaving
