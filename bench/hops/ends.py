"""The two ends of a hop, over any transport, and the processes that they are in."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from time import perf_counter_ns
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bench.hops.link import SourceLink, TargetLink
from bench.hops.payload import Arrival, Order, Pattern, Stamp


class Sender(Protocol):
    """How a transport sends payloads."""

    def memory(self, nbytes: int) -> NDArray[np.uint8]:
        """Where the next payload is to be written; waits while there is no room."""

    def send(self, payload: NDArray[np.uint8]) -> None:
        """Send what was written there."""


class Receiver(Protocol):
    """How a transport receives payloads."""

    def receive(self) -> NDArray[np.uint8]:
        """The next payload, valid until the next call; waits for it, asleep."""


class Transport(Protocol):
    """What carries the payloads of a hop: it can be handed to the processes of its ends."""

    def sender(self) -> AbstractContextManager[Sender]: ...

    def receiver(self) -> AbstractContextManager[Receiver]: ...


class Source:
    """Writes and sends the payloads that an order asks for."""

    def __init__(self, sender: Sender, link: SourceLink) -> None:
        self._sender = sender
        self._link = link
        self._patterns: dict[int, Pattern] = {}

    def run(self, order: Order) -> None:
        pattern = self._patterns.get(order.nbytes)
        if pattern is None:
            pattern = self._patterns[order.nbytes] = Pattern(order.nbytes)
        sender = self._sender
        for remaining in self._link.turns(order):
            started_ns = perf_counter_ns()
            payload = sender.memory(order.nbytes)
            pattern.write(payload, Stamp(started_ns, remaining, order.turns))
            sender.send(payload)


def arrival_at(receiver: Receiver, link: TargetLink) -> Arrival:
    """Take payloads until an order is complete."""
    while (arrival := link.note(receiver.receive())) is None:
        pass
    return arrival


def serve_source(transport: Transport, name: str) -> None:
    """A source in a process of its own, for as long as it lives."""
    with closing(SourceLink(name)) as link, transport.sender() as sender:
        source = Source(sender, link)
        link.ready()
        for order in link.orders():
            source.run(order)


def serve_target(transport: Transport, name: str) -> None:
    """A target in a process of its own, for as long as it lives."""
    with closing(TargetLink(name)) as link, transport.receiver() as receiver:
        link.ready()
        while True:
            link.report(arrival_at(receiver, link))


Serve = Callable[[Transport, str], None]
