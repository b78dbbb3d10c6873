"""A peer: ``multiprocessing.Pipe``, which carries bytes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import numpy as np
from numpy.typing import NDArray


class Pipe:
    """Two connections; the sender writes all its payloads in the same memory."""

    def __init__(self, into: Connection, out: Connection) -> None:
        self._into = into
        self._out = out

    @contextmanager
    def sender(self) -> Iterator[PipeSender]:
        yield PipeSender(self._out)

    @contextmanager
    def receiver(self) -> Iterator[PipeReceiver]:
        yield PipeReceiver(self._into)


@contextmanager
def pipe(_nbytes: int) -> Iterator[Pipe]:
    into, out = multiprocessing.Pipe(duplex=False)
    with into, out:
        yield Pipe(into, out)


class PipeSender:
    def __init__(self, out: Connection) -> None:
        self._out = out
        self._payload = np.empty(0, np.uint8)

    def memory(self, nbytes: int) -> NDArray[np.uint8]:
        if self._payload.nbytes != nbytes:
            self._payload = np.empty(nbytes, np.uint8)
        return self._payload

    def send(self, payload: NDArray[np.uint8]) -> None:
        self._out.send_bytes(payload.data)


class PipeReceiver:
    def __init__(self, into: Connection) -> None:
        self._into = into

    def receive(self) -> NDArray[np.uint8]:
        return np.frombuffer(self._into.recv_bytes(), np.uint8)
