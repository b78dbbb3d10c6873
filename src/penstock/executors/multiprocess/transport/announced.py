"""The slabs that a lane's producer has announced, for as long as it has not given them up."""

from __future__ import annotations

import os

from penstock.errors import LaneError
from penstock.executors.multiprocess.transport.arena import SharedArena

MOST_SLABS = 512
"""Of one producer: each costs a descriptor."""


class AnnouncedSlabs:
    """Those of one lane, in this process's ``arena``; what breaks a rule is a ``LaneError``."""

    def __init__(self, arena: SharedArena, lane: str) -> None:
        self._arena = arena
        self._lane = lane
        self._ids: set[int] = set()

    def adopt(self, slab_id: int, fd: int) -> None:
        """Have one more, behind a descriptor that is taken over."""
        if slab_id in self._ids:
            os.close(fd)
            raise LaneError(self._lane, f"slab {slab_id} is announced twice")
        if len(self._ids) == MOST_SLABS:
            os.close(fd)
            raise LaneError(self._lane, f"more than {MOST_SLABS} slabs are announced")
        self._arena.adopt(slab_id, fd, self._lane)
        self._ids.add(slab_id)

    def retire(self, slab_id: int) -> None:
        """The producer has given it up: nobody on the way here looks at it any more."""
        if slab_id not in self._ids:
            raise LaneError(self._lane, f"slab {slab_id} is given up, but was never announced")
        self._ids.discard(slab_id)
        if self._arena.drop(slab_id):
            self._arena.on_retired(slab_id)

    def close(self) -> None:
        """Let go of them all."""
        while self._ids:
            self._arena.drop(self._ids.pop())
