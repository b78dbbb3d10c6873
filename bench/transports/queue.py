"""A peer: ``multiprocessing.Queue``, which pickles payloads and pipes them through a thread."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.queues import Queue
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.hops.rig import window

if TYPE_CHECKING:
    PayloadQueue: TypeAlias = Queue[NDArray[np.uint8]]  # generic for type checkers only

_SPAWN = multiprocessing.get_context("spawn")


class QueueTransport:
    """One queue; each payload is an array of its own, since the queue's thread reads it later."""

    def __init__(self, queue: PayloadQueue) -> None:
        self._queue = queue

    @contextmanager
    def sender(self) -> Iterator[QueueTransport]:
        yield self

    @contextmanager
    def receiver(self) -> Iterator[QueueTransport]:
        yield self

    def memory(self, nbytes: int) -> NDArray[np.uint8]:
        return np.empty(nbytes, np.uint8)

    def send(self, payload: NDArray[np.uint8]) -> None:
        self._queue.put(payload)

    def receive(self) -> NDArray[np.uint8]:
        return self._queue.get()


@contextmanager
def queue(nbytes: int) -> Iterator[QueueTransport]:
    payloads: PayloadQueue = _SPAWN.Queue(window(nbytes))
    try:
        yield QueueTransport(payloads)
    finally:
        payloads.close()
        payloads.join_thread()
