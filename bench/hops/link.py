"""What surrounds a hop, the same for all contenders: orders, turns, and reports.

Datagrams between abstract addresses, which need no file and go with their sockets. Orders go
from the rig to the source; a turn from the target to the source, when a payload has arrived;
readiness and arrivals from the ends to the rig. So two processes take turns at a hop, whatever
carries its payloads, and nobody else has to wake up meanwhile.
"""

from __future__ import annotations

import itertools
import os
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any, Self

from numpy.typing import NDArray

from bench.hops.payload import Arrival, Order, Tally
from bench.measurement import PeerError

_FRAME_BYTES = 1 << 16
_READY = struct.Struct("<?i")
_TURN = b"turn"
START_S = 30.0
"""How long the ends of a rig may take to be ready."""
ANSWER_S = 30.0
"""How long an order may take; a peer may lose messages."""
_numbers = itertools.count()


def new_name() -> str:
    """A name for the link of a new rig."""
    return f"penstock-bench-{os.getpid()}-{next(_numbers)}"


class SourceLink:
    """The source's end: it takes orders, and waits for its turns."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._sock = _bound(_source(name))

    def ready(self, pid: int | None = None) -> None:
        """Say that orders may come, for payloads from this process or another one."""
        self._sock.sendto(_READY.pack(True, pid or os.getpid()), _rig(self._name))

    def orders(self) -> Iterator[Order]:
        """Orders as they come, for ever."""
        while True:
            yield Order.unpack(self._sock.recv(_FRAME_BYTES))

    def turns(self, order: Order) -> Iterator[int]:
        """How many payloads remain after this one, each when it is its turn."""
        due = time.monotonic()
        for remaining in reversed(range(order.count)):
            yield remaining
            if order.turns:
                self._sock.recv(_FRAME_BYTES)
            if order.interval_us:
                due += order.interval_us / 1e6
                time.sleep(max(due - time.monotonic(), 0))

    def close(self) -> None:
        self._sock.close()


class TargetLink:
    """The target's end: it notes what arrives, and gives turns."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._source = _source(name)
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._tally = Tally()

    def ready(self) -> None:
        """Say that payloads may come."""
        self._sock.sendto(_READY.pack(False, os.getpid()), _rig(self._name))

    def note(self, payload: NDArray[Any]) -> Arrival | None:
        """A payload is here; the whole arrival when it was the last one of its order."""
        stamp, arrival = self._tally.note(payload)
        if stamp.turns:
            self._sock.sendto(_TURN, self._source)
        return arrival

    def report(self, arrival: Arrival) -> None:
        self._sock.sendto(arrival.pack(), _rig(self._name))

    def close(self) -> None:
        self._sock.close()


class RigLink:
    """The rig's end: it gives orders and waits for arrivals.

    Raises ``PeerError`` where the ends say nothing for too long.
    """

    def __init__(self, name: str) -> None:
        self._source = _source(name)
        self._sock = _bound(_rig(name))

    def wait_until_ready(self, ends: int = 2) -> tuple[int, int]:
        """The processes of source and target, once ``ends`` of them have said they are ready.

        For an end that says nothing since it is in this process, this process.
        """
        self._sock.settimeout(START_S)
        pids = {True: os.getpid(), False: os.getpid()}
        for _ in range(ends):
            is_source, pid = _READY.unpack(self._received("not ready"))
            pids[is_source] = pid
        return pids[True], pids[False]

    def send(self, order: Order) -> None:
        self._sock.settimeout(ANSWER_S)
        try:
            self._sock.sendto(order.pack(), self._source)
        except ConnectionError as exc:
            raise PeerError("ended early") from exc

    def arrival(self) -> Arrival:
        return Arrival.unpack(self._received("no answer"))

    def _received(self, otherwise: str) -> bytes:
        try:
            return self._sock.recv(_FRAME_BYTES)
        except TimeoutError as exc:
            raise PeerError(f"{otherwise} within {self._sock.gettimeout():.0f} s") from exc

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()


def _bound(address: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(address)
    return sock


def _source(name: str) -> str:
    return f"\0{name}.source"


def _rig(name: str) -> str:
    return f"\0{name}.rig"
