"""Kills one process of a session, at a given moment of its life."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from time import perf_counter

from penstock.testing.processes import Process, process_of, process_table

_SUPERVISOR = "penstock-super"
_HOST = "penstock-host"
_NODE = "pn:"


class Victim(StrEnum):
    """Who is killed."""

    NODE = "node"
    HOST = "host"
    SUPERVISOR = "supervisor"
    CHANNEL = "client's channel"
    CLIENT = "client's process"


class Moment(StrEnum):
    """How far a session has come; it is struck soon after that."""

    CALLED = "called"
    STARTING = "starting"
    READY = "ready"
    SENDING = "sending"
    READING = "reading"
    CLOSING = "closing"


@dataclass(slots=True)
class Strike:
    """One kill: of whom, when, and how long after that moment.

    ``struck_at`` (of ``perf_counter``) and ``hit`` are set once it has happened; a session may
    be over before. ``hang_up`` is how a client is struck, which is in this process.
    """

    victim: Victim
    moment: Moment
    delay_s: float
    prefix: str
    rng: random.Random
    hang_up: Callable[[], object] | None = None
    struck_at: float | None = None
    hit: Process | None = None
    _pids: dict[str, int] = field(default_factory=dict)
    _timer: asyncio.TimerHandle | None = None

    def saw(self, node_id: str, pid: int) -> None:
        """A node of the session has told its process."""
        self._pids[node_id] = pid

    def reached(self, moment: Moment) -> None:
        """The session has come so far: strike a little later."""
        if moment is self.moment and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.delay_s, self._strike)

    def give_up(self) -> None:
        """The session is over."""
        if self._timer is not None:
            self._timer.cancel()

    def _strike(self) -> None:
        if self.hang_up is not None:
            self.struck_at = perf_counter()
            self.hang_up()
            return
        found = self._find()
        if found is not None and _killed(found):
            self.struck_at = perf_counter()
            self.hit = found

    def _find(self) -> Process | None:
        """The victim, as far as the session has one now."""
        members = self._members()
        nodes = [one for one in members if one.name.startswith(_NODE)]
        if self.victim is Victim.NODE:
            return self.rng.choice(nodes) if nodes else None
        if self.victim is Victim.HOST:
            return next((one for one in members if one.name == _HOST), None)
        parents = (process_of(one.parent) for one in members)
        return next((one for one in parents if one and one.name == _SUPERVISOR), None)

    def _members(self) -> list[Process]:
        """The processes that the session's nodes are in: as they told, or by their names."""
        told = [process_of(pid) for pid in self._pids.values()]
        if told:
            return [one for one in told if one is not None]
        start = f"{_NODE}{self.prefix}"
        return [one for one in process_table().values() if one.name.startswith(start)]


def node_of(process: Process) -> str:
    """The ID of the node that a process is named after."""
    return process.name.removeprefix(_NODE)


def _killed(process: Process) -> bool:
    """Kill it with SIGKILL, unless it has ended, or another has its number now."""
    try:
        pidfd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        now = process_of(process.pid)
        if now is None or now.is_zombie or now.started != process.started:
            return False
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)
    return True
