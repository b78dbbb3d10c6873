"""Node loops on an event loop, with lanes in memory between them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import numpy as np

from penstock.bridges import NO_EPOCHS, DirectLane, EpochPage, Epochs, LaneSpec
from penstock.data import Kind, Message, Text
from penstock.executors.calling import call_here
from penstock.executors.concurrent_loop import loop_class
from penstock.executors.identity import Identity
from penstock.executors.node_loop import NodeLoop
from penstock.executors.pump import LoopPump
from penstock.executors.vitals import OwnVitals
from penstock.nodes.base import make_context

ALL = frozenset(Kind)


class Host:
    """Behind a node that runs in a test."""

    def progress(self, fraction, message):
        pass

    def allocate(self, nbytes):
        return np.empty(nbytes, np.uint8)

    def stopping(self):
        return False

    def turn(self):
        return 0

    def interrupt(self, node_id):
        raise NotImplementedError


class Rig:
    """Nodes by name, the lanes between them, and what arrives at the end."""

    def __init__(self, epochs: Epochs = NO_EPOCHS):
        self.epochs = epochs
        self.loops: dict[str, NodeLoop] = {}
        self.lanes: dict[tuple[str, str], DirectLane] = {}
        self.vitals = OwnVitals()
        self._pumps: dict[str, LoopPump] = {}

    def add(self, name, cls, params=None, *, emits=ALL, direct=None):
        pump = LoopPump()
        node = cls(cls.Params.model_validate(params or {}), make_context(cls, name, "s", Host()))
        make = loop_class(cls)
        direct = not asyncio.iscoroutinefunction(cls.process) if direct is None else direct
        self.loops[name] = make(
            node,
            Identity(name, emits, self.epochs, self.epochs.slots.get(name, 0)),
            pump,
            call_here,
            self.vitals.pulse(),
            direct=direct,
        )
        self._pumps[name] = pump
        return node

    def connect(self, source, target, *, fused=False, at_once=False, accepts=ALL, **options):
        """A lane; an end that names no node is the test's own.

        With ``at_once`` the target hears of messages as from a lane out of another process.
        """
        slot = self.epochs.slots.get(source, 0)
        spec = LaneSpec(len(self.lanes) + 1, source, target, accepts, slot=slot, **options)
        lane = self.lanes[source, target] = DirectLane(spec, self.epochs)
        if source in self.loops:
            lane.producer.on_change = self._pumps[source].notify
            self.loops[source].outputs.append(lane.producer)
        if target in self.loops:
            loop, pump = self.loops[target], self._pumps[target]
            lane.consumer.on_change = loop.arrived if at_once else pump.notify
            self.loops[target].inputs.append(lane.consumer)
        if fused:
            lane.fuse(self.loops[target].accept)
        return lane

    def start(self) -> dict[str, asyncio.Task[None]]:
        return {name: asyncio.create_task(loop.run()) for name, loop in self.loops.items()}


def texts(*words: str) -> Iterable[Message]:
    return [Message(Text(word), number, 0, number * 10) for number, word in enumerate(words, 1)]


def offer(lane: DirectLane, messages: Iterable[Message], *, end: bool = True) -> None:
    for message in messages:
        assert lane.producer.offer(message)
    if end:
        lane.producer.end()


class InterruptedAsItTakes:
    """A lane's consumer; as it takes for the first time, an interrupt comes and then ``new``."""

    def __init__(self, lane: DirectLane, page: EpochPage, new: Message):
        self._lane, self._page, self._new = lane, page, new
        self._first = True

    def take(self) -> Message | None:
        found = self._lane.consumer.take()
        if self._first:
            self._first = False
            self._page.interrupt(self._page.slots["up"], [self._page.slots["n"]])
            self._lane.producer.offer(self._new)
        return found or self._lane.consumer.take()

    def __getattr__(self, name: str):
        return getattr(self._lane.consumer, name)


def taken(lane: DirectLane) -> list[Message]:
    found = []
    while (message := lane.consumer.take()) is not None:
        found.append(message)
    return found


async def settled() -> None:
    """Let every task come to where it has to wait."""
    for _ in range(20):
        await asyncio.sleep(0)
