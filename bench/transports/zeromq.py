"""A peer: ZeroMQ over ``ipc``, without copies at either end where the library can."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.hops.rig import window
from bench.transports.packages import require

if TYPE_CHECKING:
    import zmq


class ZeroMq:
    """A push socket and a pull socket, which meet at a file."""

    def __init__(self, address: str, window: int) -> None:
        self._address = address
        self._window = window

    @contextmanager
    def sender(self) -> Iterator[ZeroMqSender]:
        import zmq  # noqa: PLC0415  # it may be missing

        with zmq.Context() as context, context.socket(zmq.PUSH) as sock:
            sock.set_hwm(self._window)
            sock.bind(self._address)
            yield ZeroMqSender(sock)

    @contextmanager
    def receiver(self) -> Iterator[ZeroMqReceiver]:
        import zmq  # noqa: PLC0415  # it may be missing

        with zmq.Context() as context, context.socket(zmq.PULL) as sock:
            sock.set_hwm(self._window)
            sock.connect(self._address)
            yield ZeroMqReceiver(sock)


@contextmanager
def zeromq(nbytes: int) -> Iterator[ZeroMq]:
    """Raises ``PeerError`` where pyzmq isn't installed."""
    require("zmq")
    with tempfile.TemporaryDirectory() as folder:
        yield ZeroMq(f"ipc://{folder}/payloads", window(nbytes))


class ZeroMqSender:
    """Gives each payload away in memory of its own: the library reads it later."""

    def __init__(self, sock: zmq.Socket[bytes]) -> None:
        self._sock = sock

    def memory(self, nbytes: int) -> NDArray[np.uint8]:
        return np.empty(nbytes, np.uint8)

    def send(self, payload: NDArray[np.uint8]) -> None:
        self._sock.send(payload.data, copy=False)


class ZeroMqReceiver:
    def __init__(self, sock: zmq.Socket[bytes]) -> None:
        self._sock = sock

    def receive(self) -> NDArray[np.uint8]:
        return np.frombuffer(self._sock.recv(copy=False).buffer, np.uint8)
