"""The two nodes between which Penstock's hops are measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from time import perf_counter_ns

from bench.hops.payload import Order, Pattern, Tally
from penstock.data import Binary, Json
from penstock.nodes import Node, node


@node("HopSource")
class HopSource(Node):
    """Send the payloads that an order asks for."""

    blocking = False

    def setup(self) -> None:
        self._patterns: dict[int, Pattern] = {}

    def process(self, item: Json) -> Binary | Iterator[Binary]:
        order = Order(**item.value)
        if order.nbytes not in self._patterns:
            self._patterns[order.nbytes] = Pattern(order.nbytes)
        pattern = self._patterns[order.nbytes]
        if order.count == 1:
            return self._payload(pattern, order.nbytes, 0)
        return (self._payload(pattern, order.nbytes, left) for left in reversed(range(order.count)))

    def _payload(self, pattern: Pattern, nbytes: int, remaining: int) -> Binary:
        started_ns = perf_counter_ns()
        array = self.ctx.allocate(nbytes, "u1")
        pattern.write(array, started_ns, remaining)
        return Binary(array)


@node("HopTarget")
class HopTarget(Node):
    """Say what has arrived, once an order is complete."""

    blocking = False

    def setup(self) -> None:
        self._tally = Tally()

    def process(self, item: Binary) -> Json | None:
        arrival = self._tally.note(item.data)
        return None if arrival is None else Json(asdict(arrival))
