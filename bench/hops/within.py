"""Hops that stay in this process: a plain call (the floor), and ``asyncio.Queue`` (the peer)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from time import perf_counter_ns

import numpy as np
from numpy.typing import NDArray

from bench.hops.payload import Arrival, Order, Pattern, Stamp, Tally
from bench.hops.rig import window


def written(pattern: Pattern, order: Order) -> Iterator[NDArray[np.uint8]]:
    """An order's payloads in arrays of their own, each written when it is asked for."""
    for remaining in reversed(range(order.count)):
        started_ns = perf_counter_ns()
        payload = np.empty(order.nbytes, np.uint8)
        pattern.write(payload, Stamp(started_ns, remaining))
        yield payload


class CallRig:
    """Writes each payload and calls a function with it."""

    def __init__(self, nbytes: int) -> None:
        self.pids = (os.getpid(), os.getpid())
        self._pattern = Pattern(nbytes)
        self._tally = Tally()

    async def run(self, order: Order) -> Arrival:
        for payload in written(self._pattern, order):
            _, arrival = self._tally.note(payload)
        assert arrival is not None
        return arrival


class LoopQueueRig:
    """Two tasks and an ``asyncio.Queue`` between them."""

    def __init__(self, nbytes: int) -> None:
        self.pids = (os.getpid(), os.getpid())
        self._pattern = Pattern(nbytes)
        self._queue: asyncio.Queue[NDArray[np.uint8]] = asyncio.Queue(window(nbytes))
        self._tally = Tally()

    async def run(self, order: Order) -> Arrival:
        async with asyncio.TaskGroup() as group:
            receiving = group.create_task(self._receive())
            group.create_task(self._send(written(self._pattern, order)))
        return receiving.result()

    async def _send(self, payloads: Iterator[NDArray[np.uint8]]) -> None:
        for payload in payloads:
            await self._queue.put(payload)

    async def _receive(self) -> Arrival:
        while True:
            _, arrival = self._tally.note(await self._queue.get())
            if arrival is not None:
                return arrival
