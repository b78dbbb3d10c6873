"""What a node of a service's session gives, shown here."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Self

from penstock.errors import PenstockError
from penstock.session import TapEvent
from penstock.session.bus.backlog import TAP_MESSAGES
from penstock.wire.buffers import decode
from penstock.wire.v1 import control_pb2 as pb

TAP_BYTES = 16 << 20
"""What waits for a tap's reader here, at most; one event always waits, however large."""


class _Shown(NamedTuple):
    """An output, or why there is none to show; ``lost`` is what was lost on the way before it."""

    said: pb.TapEvent | PenstockError
    nbytes: int
    lost: int


class Tap:
    """The outputs of a node as they come, for one reader: iterate over it.

    It ends with the session, or when it is closed, and raises what the attachment breaks by. It
    never makes anybody wait: what its reader is too slow for is lost, oldest first, and counted,
    at the service and here. An output that has no place in the protocol is raised in its place,
    as an ``InvalidValueError``, and the tap goes on.
    """

    def __init__(self, node_id: str, let_go: Callable[[Tap], Awaitable[None]]) -> None:
        self.node_id = node_id
        self._let_go = let_go
        self._shown: deque[_Shown] = deque()
        self._held = 0
        self._lost_before = 0
        self._lost_here = 0
        self._over = False
        self._failure: Exception | None = None
        self._news = asyncio.Event()

    @property
    def lost(self) -> int:
        """The outputs that its reader was too slow for, so far.

        That is final once the session has ended, with those after the last event. A tap that is
        closed counts no more.
        """
        return self._lost_before + self._lost_here

    async def aclose(self) -> None:
        """See nothing more; doing it twice is harmless."""
        self._shown.clear()
        self.end(None)
        self._failure = None
        await self._let_go(self)

    def end(self, failure: Exception | None) -> None:
        """Nothing more comes; what waits can still be read."""
        if not self._over:
            self._over, self._failure = True, failure
            self._news.set()

    def miss(self, lost: int) -> None:
        """So many more were lost on their way here."""
        if not self._over:
            self._lost_before += lost

    def note(self, said: pb.TapEvent | PenstockError, nbytes: int) -> None:
        """Keep an output until it is read."""
        if self._over:
            return
        self._shown.append(_Shown(said, nbytes, self._lost_before))
        self._held += nbytes
        while len(self._shown) > 1 and self._is_full:
            self._held -= self._shown.popleft().nbytes
            self._lost_here += 1
        self._news.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> TapEvent:
        while not self._shown:
            if self._over:
                raise self._failure or StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        said, nbytes, lost = self._shown.popleft()
        self._held -= nbytes
        if isinstance(said, PenstockError):
            raise said
        return TapEvent(
            node_id=self.node_id,
            value=decode(said.data, f"an output of {self.node_id!r}"),
            sequence=said.sequence,
            part=said.part,
            timestamp_us=said.timestamp_us,
            lost=lost + self._lost_here,
        )

    @property
    def _is_full(self) -> bool:
        return len(self._shown) > TAP_MESSAGES or self._held > TAP_BYTES


class Watch:
    """What the service shows of one node, for all taps of it here."""

    def __init__(self) -> None:
        self.taps: set[Tap] = set()
        self._lost = 0

    def note(self, said: pb.TapEvent) -> None:
        self.miss(said.lost)
        nbytes = said.ByteSize()
        for tap in self.taps:
            tap.note(said, nbytes)

    def miss(self, lost: int) -> None:
        """So many have been lost on their way here since the service shows the node."""
        more, self._lost = lost - self._lost, lost
        for tap in self.taps:
            tap.miss(more)

    def refuse(self, error: PenstockError) -> None:
        """An output can't be shown."""
        for tap in self.taps:
            tap.note(error, 0)

    def restart(self) -> None:
        """The service shows nothing any more; should it again, it counts anew."""
        self._lost = 0

    def end(self, failure: Exception | None) -> None:
        for tap in self.taps:
            tap.end(failure)
