"""A process's end of the data plane: its arena, its reactor, and the lane ends on them."""

from __future__ import annotations

import os
import socket
import weakref
from collections.abc import Callable
from functools import partial

from penstock.bridges import NO_EPOCHS, Epochs, LaneSpec, Purpose, no_listener
from penstock.data import ReadsValues, reader
from penstock.errors import LaneError
from penstock.executors.multiprocess.transport.arena import SharedArena
from penstock.executors.multiprocess.transport.placing import Placer
from penstock.executors.multiprocess.transport.reactor import Reactor
from penstock.executors.multiprocess.transport.receiver import LaneReceiver
from penstock.executors.multiprocess.transport.sender import LaneSender

OnBroken = Callable[[LaneError], None]
POISON = "PENSTOCK_POISON_SLOTS"
"""Set to 1, this environment variable has slots overwritten when they become free."""


def poisoned() -> bool:
    return os.environ.get(POISON) == "1"


class DataPlane:
    """Makes lane ends that share one pool of memory, and sees to it when that is full.

    ``owner`` makes slab IDs unique in the session, ``on_broken`` hears of failing lanes, and
    ``on_hoarding`` of those whose consumer keeps so much that it gets copies. ``epochs`` say what
    nobody wants to take any more, ``read`` how to make values of what is taken.
    """

    def __init__(
        self,
        reactor: Reactor,
        owner: int,
        budget_bytes: int,
        max_message_bytes: int,
        on_broken: OnBroken,
        *,
        epochs: Epochs = NO_EPOCHS,
        read: ReadsValues = reader,
    ) -> None:
        self.reactor = reactor
        self.arena = SharedArena(owner, budget_bytes, poison=poisoned())
        self.arena.vacancy.on_free = self._freed
        self.arena.on_full = self._starve
        self.arena.on_retired = self._retire
        self._placer = Placer(self.arena, max_message_bytes)
        self.on_hoarding: Callable[[LaneReceiver], None] = lambda _end: None
        self._on_broken = on_broken
        self._epochs = epochs
        self._read = read
        self._senders: weakref.WeakSet[LaneSender] = weakref.WeakSet()
        self._receivers: weakref.WeakSet[LaneReceiver] = weakref.WeakSet()

    def sender(
        self, spec: LaneSpec, sock: socket.socket, on_broken: OnBroken | None = None
    ) -> LaneSender:
        """An end that tells of its failure ``on_broken``, where that is somebody else's affair."""
        broken = on_broken or self._on_broken
        end = LaneSender(spec, sock, self._placer, self.reactor, broken)
        end.on_release = self._released
        self._senders.add(end)
        self._placer.shared = len(self._senders) > 1
        return end

    def receiver(
        self, spec: LaneSpec, sock: socket.socket, on_broken: OnBroken | None = None
    ) -> LaneReceiver:
        """The other end; nobody hears of what is held of a lane that is none of the pipeline's."""
        epochs = self._epochs if spec.carries_turns else NO_EPOCHS
        broken = on_broken or self._on_broken
        end = LaneReceiver(spec, sock, self.arena, self.reactor, broken, epochs, self._read)
        self._receivers.add(end)
        end.on_reclaim = self._reclaim
        if spec.purpose is Purpose.EDGE:
            end.on_hoarding = partial(self._tell_of_hoarding, weakref.ref(end))
        return end

    def close(self) -> None:
        """Give the memory up; the reactor stays its owner's."""
        self.arena.close()

    def _tell_of_hoarding(self, end: weakref.ref[LaneReceiver]) -> None:
        """Tell once; and not of what is only passed on, and held by those behind.

        Nor of who holds nothing but what is just being taken: that may be more than a share alone.
        """
        hoarder = end()
        if hoarder is None:
            return
        held = hoarder.statistics().held
        if held > 1 and 2 * hoarder.kept > held:
            hoarder.on_hoarding = no_listener
            self.on_hoarding(hoarder)

    def _starve(self) -> None:
        """The arena is full: have the consumers give back what they don't look at."""
        self.reactor.defer(self._reclaim)

    def _reclaim(self) -> None:
        """Take back what was lent, and from those who have lent it on."""
        for sender in list(self._senders):
            sender.reclaim()

    def _released(self) -> None:
        """Ask on for as long as somebody waits: what came back may have been something else."""
        if self.arena.vacancy.wanted or any(end.lender_starves for end in self._receivers):
            self._reclaim()

    def _retire(self, slab_id: int) -> None:
        """Any thread may allocate, and so have a slab retired; lanes belong to the loop."""
        self.reactor.defer(partial(self._tell_retired, slab_id))

    def _tell_retired(self, slab_id: int) -> None:
        for sender in list(self._senders):
            sender.retire(slab_id)

    def _freed(self) -> None:
        self.reactor.defer(self._retry)

    def _retry(self) -> None:
        for sender in list(self._senders):
            sender.memory_freed()
