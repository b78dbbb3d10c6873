"""The two nodes between which Penstock's hops are measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from time import perf_counter_ns

from bench.hops.link import SourceLink, TargetLink
from bench.hops.payload import Order, Pattern, Stamp
from penstock.data import Binary, Json
from penstock.nodes import Node, NodeParams, node


class LinkParams(NodeParams):
    """``link`` names what surrounds the hop."""

    link: str


@node("HopSource")
class HopSource(Node):
    """Send the payloads that an order asks for."""

    Params = LinkParams
    blocking = False

    def setup(self) -> None:
        self._link = SourceLink(self.params.link)
        self._patterns: dict[int, Pattern] = {}

    def process(self, item: Json) -> Binary | Iterator[Binary]:
        order = Order(**item.value)
        if order.count == 1:
            return self._payload(order, 0)
        return (self._payload(order, remaining) for remaining in self._link.turns(order))

    def teardown(self) -> None:
        self._link.close()

    def _payload(self, order: Order, remaining: int) -> Binary:
        pattern = self._patterns.get(order.nbytes)
        if pattern is None:
            pattern = self._patterns[order.nbytes] = Pattern(order.nbytes)
        started_ns = perf_counter_ns()
        payload = self.ctx.allocate(order.nbytes, "u1")
        pattern.write(payload, Stamp(started_ns, remaining, order.turns))
        return Binary(payload)


@node("HopTarget")
class HopTarget(Node):
    """Say what has arrived, once an order is complete."""

    Params = LinkParams
    blocking = False

    def setup(self) -> None:
        self._link = TargetLink(self.params.link)

    def process(self, item: Binary) -> Json | None:
        arrival = self._link.note(item.data)
        return None if arrival is None else Json(asdict(arrival))

    def teardown(self) -> None:
        self._link.close()
