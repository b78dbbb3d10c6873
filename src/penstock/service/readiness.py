"""Whether the service can take another session: its zygote, its budget, its own end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator

from penstock.executors.multiprocess.launcher import LAUNCHER
from penstock.executors.multiprocess.probe import zygote_answers_soon
from penstock.service.health import SESSION, HealthBoard
from penstock.service.pacing import beside
from penstock.session import Budget, Cost, SessionStatus
from penstock.wire.methods import PLANNING, SERVICES

ANSWER_S = 5.0
"""How long a zygote may take to show that it works: it may have just been started."""
RETRY_S = 1.0
"""How soon one that can't be had is tried again."""
_USABLE = (SessionStatus.READY, SessionStatus.EXECUTING)
_log = logging.getLogger(__name__)


class Readiness:
    """Keeps the health board true; ``smallest`` is the least that a session can cost."""

    def __init__(self, budget: Budget, smallest: Cost) -> None:
        self.board = HealthBoard(("", *SERVICES))
        self._budget = budget
        self._smallest = smallest
        self._zygote = False
        self._draining = False
        budget.on_change = self._refresh
        self._refresh()

    def drain(self) -> None:
        """From now on the service takes no session any more."""
        self._draining = True
        self._refresh()

    def session(self, session_id: str, status: SessionStatus) -> None:
        """A session has come to ``status``."""
        name = SESSION + session_id
        if status is SessionStatus.TERMINATED:
            self.board.forget(name)
        else:
            self.board.set(name, serving=status in _USABLE)

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Look after the zygote within the block."""
        async with beside(self._watch_zygote(), "zygote watch"):
            yield

    def _refresh(self) -> None:
        able = self._zygote and self._budget.shortage(self._smallest) is None
        for name in ("", *SERVICES):
            plans_only = name == PLANNING
            self.board.set(name, serving=not self._draining and (able or plans_only))

    async def _watch_zygote(self) -> None:
        """Have a new one as soon as one has died, and try again where there is none."""
        while True:
            self._zygote = await zygote_answers_soon(ANSWER_S)
            self._refresh()
            if self._zygote:
                await _death_of(LAUNCHER.pid)
                _log.warning("the zygote has died: starting another")
                self._zygote = False
                self._refresh()
            else:
                _log.error("no zygote can be had; trying again in %g s", RETRY_S)
                await asyncio.sleep(RETRY_S)


async def _death_of(pid: int | None) -> None:
    try:
        pidfd = os.pidfd_open(pid or 0)
    except OSError:
        return  # it has been reaped already
    loop = asyncio.get_running_loop()
    died = asyncio.Event()
    loop.add_reader(pidfd, died.set)
    try:
        await died.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)
