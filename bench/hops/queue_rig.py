"""The peer: ``multiprocessing.Queue``. Orders and arrivals travel by pipes beside it."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from multiprocessing.queues import Queue
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.hops.payload import Arrival, Order, Pattern, Tally
from bench.hops.rig import Place, SourceEnd, SplitRig, TargetEnd, window

if TYPE_CHECKING:
    PayloadQueue: TypeAlias = Queue[NDArray[np.uint8]]  # generic for type checkers only

_SPAWN = multiprocessing.get_context("spawn")
EXIT_S = 10.0


class QueueSource:
    """Puts payloads, each in an array of its own: the queue's thread reads it later."""

    def __init__(self, queue: PayloadQueue, nbytes: int) -> None:
        self._queue = queue
        self._pattern = Pattern(nbytes)

    def run(self, order: Order) -> None:
        for payload in self._pattern.series(order.count):
            self._queue.put(payload)


class QueueTarget:
    """Takes payloads until an order is complete."""

    def __init__(self, queue: PayloadQueue) -> None:
        self._queue = queue
        self._tally = Tally()

    def run(self) -> Arrival:
        while (arrival := self._tally.note(self._queue.get())) is None:
            pass
        return arrival


def serve_source(queue: PayloadQueue, control: Connection, nbytes: int) -> None:
    """A source in a process of its own, for as long as it lives."""
    source = QueueSource(queue, nbytes)
    while True:
        source.run(control.recv())


def serve_target(queue: PayloadQueue, control: Connection, _nbytes: int) -> None:
    """A target in a process of its own, for as long as it lives."""
    target = QueueTarget(queue)
    while True:
        control.send(target.run())


@contextmanager
def queue_rig(source: Place, target: Place, nbytes: int) -> Iterator[SplitRig]:
    """A queue with at least one end in a process of its own."""
    queue: PayloadQueue = _SPAWN.Queue(window(nbytes))
    with ExitStack() as stack:
        stack.callback(queue.join_thread)
        stack.callback(queue.close)
        sending = SourceEnd(os.getpid(), QueueSource(queue, nbytes).run)
        arriving = TargetEnd(os.getpid(), QueueTarget(queue).run)
        if source == "process":
            pid, orders = stack.enter_context(_process(serve_source, queue, nbytes))
            sending = SourceEnd(pid, orders.send)
        if target == "process":
            pid, arrivals = stack.enter_context(_process(serve_target, queue, nbytes))
            arriving = TargetEnd(pid, arrivals.recv)
        yield SplitRig(sending, arriving)


@contextmanager
def _process(
    serve: Callable[[PayloadQueue, Connection, int], None], queue: PayloadQueue, nbytes: int
) -> Iterator[tuple[int, Connection]]:
    """An end in a process of its own, and the way to it; at the end it is idle, and killed."""
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=serve, args=(queue, theirs, nbytes), daemon=True)
    process.start()
    theirs.close()
    with ours:
        try:
            assert process.pid is not None
            yield process.pid, ours
        finally:
            process.kill()
            process.join(EXIT_S)
            process.close()
