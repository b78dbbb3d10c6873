"""A process's place on the data plane, in an event loop: its memory, its ends of lanes."""

from __future__ import annotations

import asyncio
import socket

import numpy as np
from numpy.typing import NDArray

from penstock.bridges import ConsumerEnd, Epochs, LaneSpec, ProducerEnd
from penstock.data import ReadsValues, reader
from penstock.errors import LaneClosedError, LaneError
from penstock.executors.base import ExecutorEvents
from penstock.executors.multiprocess.reactor_loop import reactor_of, release_reactor
from penstock.executors.multiprocess.transport import DataPlane, LaneReceiver
from penstock.executors.multiprocess.transport.plane import OnBroken

DEATH_NOTICE_S = 1.0
"""How long a broken lane waits for the death that explains it."""


class Station:
    """Lane ends of one session in this process, on one reactor and one pool of memory.

    ``owner`` makes its slab IDs unique in the session, which may have ``pool_bytes`` here and
    whose page of epochs is ``epochs``. ``read`` makes values of what comes here.
    Failures of lanes go to ``events``, until it is told that everything is ``ending``.
    """

    def __init__(
        self,
        owner: int,
        pool_bytes: int,
        max_message_bytes: int,
        events: ExecutorEvents,
        epochs: Epochs,
        *,
        read: ReadsValues = reader,
    ) -> None:
        self.ending = False
        self._events = events
        self._loop = asyncio.get_running_loop()
        self.reactor = reactor_of(self._loop)
        self.epochs = epochs
        size = max_message_bytes
        self._plane = DataPlane(
            self.reactor, owner, pool_bytes, size, self.broken, epochs=epochs, read=read
        )
        self._plane.on_hoarding = self._on_hoarding
        self._ends: list[ProducerEnd | ConsumerEnd] = []

    def sender(
        self, lane: LaneSpec, sock: socket.socket, on_broken: OnBroken | None = None
    ) -> ProducerEnd:
        """The sending end of a lane whose other end has the peer of ``sock``.

        With ``on_broken`` its failure is none of the session's.
        """
        end = self._plane.sender(lane, sock, on_broken)
        self._ends.append(end)
        return end

    def receiver(
        self, lane: LaneSpec, sock: socket.socket, on_broken: OnBroken | None = None
    ) -> ConsumerEnd:
        """The receiving end of a lane whose other end has the peer of ``sock``."""
        end = self._plane.receiver(lane, sock, on_broken)
        self._ends.append(end)
        return end

    def release(self, end: ProducerEnd | ConsumerEnd) -> None:
        """Let go of one end, while the session goes on; its other end sees that."""
        self._ends = [one for one in self._ends if one is not end]
        end.close()

    def allocate(self, nbytes: int) -> NDArray[np.uint8]:
        """Shared memory for an output, or heap where none is free."""
        root = self._plane.arena.allocate(nbytes)
        return np.empty(nbytes, dtype=np.uint8) if root is None else root

    def broken(self, error: LaneError) -> None:
        """A lane failed: an end here, or what another process says of its own."""
        if self.ending:
            return  # processes end in any order
        wait_s = DEATH_NOTICE_S if isinstance(error, LaneClosedError) else 0
        self._loop.call_later(wait_s, self._report, error)

    def _report(self, error: LaneError) -> None:
        if not self.ending:  # else what explains it has been told
            self._events.failed(error)

    def close(self) -> None:
        """Let go of all ends and the memory."""
        self.ending = True
        for end in self._ends:
            end.close()
        self._plane.close()
        release_reactor(self.reactor, self._loop)

    def _on_hoarding(self, end: LaneReceiver) -> None:
        stats = end.statistics()
        self._events.hoarding(end.spec, stats.held, stats.held_bytes)
