"""Sources and targets for what is measured of whole sessions."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter_ns

import numpy as np
from numpy.typing import NDArray

from bench.hops.nodes import HopSource, HopTarget
from bench.hops.payload import Order, Stamp
from bench.sessions.gate import Gate
from penstock.data import Binary, Json
from penstock.nodes import node


@node("ChainSource")
class ChainSource(HopSource):
    """Start the clock when a payload has been written: only its way counts, not the writing."""

    def _payload(self, order: Order, remaining: int) -> Binary:
        payload = super()._payload(order, remaining)
        Stamp(perf_counter_ns(), remaining, order.turns).write(payload.data)
        return payload


@node("RepeatingSource")
class RepeatingSource(ChainSource):
    """Write a payload of each size once, and send it again and again with another stamp."""

    def setup(self) -> None:
        super().setup()
        self._written: dict[int, tuple[NDArray[np.uint8], Binary]] = {}

    def _payload(self, order: Order, remaining: int) -> Binary:
        if order.nbytes not in self._written:
            payload = super()._payload(order, remaining)
            # what is sent becomes read-only, but not a view that was made before
            self._written[order.nbytes] = payload.data.view(), payload
        writable, payload = self._written[order.nbytes]
        Stamp(perf_counter_ns(), remaining, order.turns).write(writable)
        return payload


@node("Filler")
class Filler(HopSource):
    """Say when all payloads of an order have been sent."""

    def process(self, item: Json) -> Iterator[Binary]:
        order = Order(**item.value)
        for remaining in self._link.turns(order):
            yield self._payload(order, remaining)
        self._link.ready()


@node("Holder")
class Holder(HopTarget):
    """Keep the first payload of an order, and take no other, until the gate is opened."""

    def setup(self) -> None:
        super().setup()
        self._gate = Gate(self.params.link, self.ctx.node_id)
        self._is_first = True

    def process(self, item: Binary) -> Json | None:
        if self._is_first:
            self._gate.wait()
        result = super().process(item)
        self._is_first = result is not None
        return result

    def teardown(self) -> None:
        self._gate.close()
        super().teardown()
