"""A hop over a bare transport: each end in a process of its own, or in this one."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from bench.hops.ends import (
    Receiver,
    Sender,
    Serve,
    Source,
    Transport,
    arrival_at,
    serve_source,
    serve_target,
)
from bench.hops.link import RigLink, SourceLink, TargetLink, new_name
from bench.hops.payload import Arrival, Order
from bench.hops.rig import BETWEEN, Hop
from penstock.executors.multiprocess.kernel import die_with

_SPAWN = multiprocessing.get_context("spawn")
EXIT_S = 10.0


class PairRig:
    """Orders go to the source, arrivals come from the target, wherever they are."""

    def __init__(
        self,
        link: RigLink,
        pids: tuple[int, int],
        source: Source | None,
        target: tuple[Receiver, TargetLink] | None,
    ) -> None:
        self.pids = pids
        self._link = link
        self._source = source
        self._target = target

    async def run(self, order: Order) -> Arrival:
        if self._source is None:
            self._link.send(order)
        else:
            self._source.run(order)
        return self._link.arrival() if self._target is None else arrival_at(*self._target)


@contextmanager
def pair_rig(transport: Transport, hop: Hop = BETWEEN) -> Iterator[PairRig]:
    """A rig with at least one end in a process of its own.

    Raises ``PeerError`` where the ends don't get ready.
    """
    name, source, target = new_name(), None, None
    with ExitStack() as stack:
        link = stack.enter_context(RigLink(name))
        if hop[0] == "process":
            stack.enter_context(_process(serve_source, transport, name))
        else:
            source = Source(*_sending(stack, transport, name))
        if hop[1] == "process":
            stack.enter_context(_process(serve_target, transport, name))
        else:
            target = _receiving(stack, transport, name)
        pids = link.wait_until_ready(hop.count("process"))
        yield PairRig(link, pids, source, target)


def _sending(stack: ExitStack, transport: Transport, name: str) -> tuple[Sender, SourceLink]:
    link = stack.enter_context(closing(SourceLink(name)))
    return stack.enter_context(transport.sender()), link


def _receiving(stack: ExitStack, transport: Transport, name: str) -> tuple[Receiver, TargetLink]:
    link = stack.enter_context(closing(TargetLink(name)))
    return stack.enter_context(transport.receiver()), link


def _serve(serve: Serve, transport: Transport, name: str, parent: int) -> None:
    die_with(parent)
    serve(transport, name)


@contextmanager
def _process(serve: Serve, transport: Transport, name: str) -> Iterator[None]:
    """An end in a process of its own; at the end it is idle, and killed."""
    args = (serve, transport, name, os.getpid())
    process = _SPAWN.Process(target=_serve, args=args, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join(EXIT_S)
        process.close()
