"""Hosts that wait for a session, forked ahead; each has one and then ends."""

from __future__ import annotations

import asyncio
import logging
import select
import socket
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from penstock.executors.multiprocess.launcher import LAUNCHER
from penstock.executors.multiprocess.limits import shortage
from penstock.executors.multiprocess.transport import socket_pair
from penstock.session.hosting.warm import Order, WarmNodes

_log = logging.getLogger(__name__)
HOST_PROCESS = "penstock.session.hosting.process"
"""The module that the zygote makes hosts of: it isn't imported here."""
REFILL_S = 0.02
"""How long a session that took a host has the processors to itself before the next is forked.

Most calls are answered by then, and forking takes longer than answering.
"""


@dataclass(frozen=True, slots=True)
class BlankHost:
    """A host that has had no session: the channels to its supervisor and to itself.

    ``number`` is that of the order for it.
    """

    supervisor: socket.socket
    control: socket.socket
    number: int

    @classmethod
    def fork(cls) -> BlankHost:
        """Have one forked; it need not be there yet to be talked to.

        Raises ``OSError`` where the system has no more of something.
        """
        with ExitStack() as undo:
            supervisor, its_owner = socket_pair()
            undo.enter_context(supervisor)
            with its_owner:
                control, its_door = socket_pair()
                undo.enter_context(control)
                with its_door:
                    number = LAUNCHER.supervise(its_owner, its_door, host=HOST_PROCESS)
            undo.pop_all()
        return cls(supervisor, control, number)

    @property
    def is_gone(self) -> bool:
        """Whether it, or its supervisor, has died."""
        poll = select.poll()
        for sock in (self.supervisor, self.control):
            poll.register(sock, 0)  # the end of the peer is told without asking
        return bool(poll.poll(0))

    def close(self) -> None:
        """Let it end."""
        self.control.close()
        self.supervisor.close()


class Hosts:
    """Keeps ``spare`` blank hosts ready, and node processes for their sessions (``warm``).

    ``taken`` counts those that sessions took: ``blank`` ones that waited, ``forked`` ones that
    the session had to wait for.
    """

    def __init__(self, spare: int, warm: Sequence[Order] = ()) -> None:
        self.warm = WarmNodes(warm)
        self._spare = spare
        self._blanks: deque[BlankHost] = deque()
        self._refill: asyncio.TimerHandle | None = None
        self._closed = False
        self.taken: Counter[str] = Counter()

    @property
    def blank(self) -> int:
        """How many wait."""
        return len(self._blanks)

    def refill(self) -> None:
        """Have as many forked as there should be.

        Where the system has no more of something, there are fewer until the next time.
        """
        self._refill = None
        try:
            while len(self._blanks) < self._spare and not self._closed:
                self._blanks.append(BlankHost.fork())
        except OSError as exc:
            _log.warning("no host can be kept ready: %s", shortage(exc))
        if not self._closed:
            self.warm.refill()

    def take(self) -> BlankHost:
        """One for a session, which owns it now; another will soon wait in its place."""
        if self._refill is None and not self._closed:
            self._refill = asyncio.get_running_loop().call_later(REFILL_S, self.refill)
        living = self._living()
        self.taken["forked" if living is None else "blank"] += 1
        return living or BlankHost.fork()

    def close(self) -> None:
        """Let all that wait end."""
        self._closed = True
        if self._refill is not None:
            self._refill.cancel()
        self.warm.close()
        while self._blanks:
            self._blanks.popleft().close()

    def _living(self) -> BlankHost | None:
        while self._blanks:
            blank = self._blanks.popleft()
            if not blank.is_gone:
                return blank
            blank.close()
        return None
