"""The executors that a session needs and the lanes between them, as one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from penstock.bridges import LaneSpec
from penstock.data import ExecutorType
from penstock.errors import PenstockError, SessionError
from penstock.executors.base import ExecutorEvents, NodeExecutor, NodeRecords
from penstock.executors.multiprocess.executor import (
    NOTHING_PROVIDED,
    MultiprocessExecutor,
    Provided,
)
from penstock.executors.multiprocess.station import Station
from penstock.executors.native import NativeExecutor
from penstock.executors.node_state import NodeState
from penstock.executors.statistics import ProcessStatistics
from penstock.executors.vitals import OwnVitals
from penstock.planning import NodeAssignment
from penstock.session.context import SessionExecutionContext
from penstock.session.gateway import Gateway
from penstock.session.side_wiring import End, Gone, SideWiring
from penstock.session.wiring import Door, Wiring

SESSIONS_OWNER = 0
"""Owns the slabs of the process that a session's native nodes run in."""


class Ensemble(Protocol):
    """All executors of one session; failures go to its ``ExecutorEvents``."""

    @property
    def executors(self) -> Sequence[NodeRecords]:
        """What is known of each executor's nodes."""

    @property
    def host(self) -> ProcessStatistics | None:
        """The process that has the session, as last measured; None where that is this one."""

    async def start(self) -> None:
        """Initialise all nodes at once, then lay all lanes; raises the first failure."""

    def begin(self) -> None:
        """Let the nodes work."""

    def stop_producing(self) -> None:
        """Have nodes without inputs come to their end."""

    def interrupt(self, by: str) -> None:
        """Have all nodes heed the page of epochs; ``by`` is the node that had asked, or empty."""

    def lay(self, spec: LaneSpec, gone: Gone) -> End:
        """The client's end of a new lane to or from a node, which is no part of the pipeline.

        It is told when the node's end is ``gone``.
        """

    def release(self, end: End) -> None:
        """Remove such a lane."""

    def set_state(self, node_id: str, state: NodeState) -> None:
        """Have a node work on its inputs or not."""

    def confirm(self, node_id: str, number: int) -> None:
        """Have ``confirmed`` told when a node has heeded what came before."""

    async def measure(self) -> None:
        """Bring all counters up to date."""

    async def stop(self, ask_s: float) -> None:
        """End all nodes and release everything; within ``ask_s`` seconds of their own accord."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where a hosted session meets what is outside its process.

    The ``door`` leads to its client; its supervisor, which is ``provided``, reads its ``vitals``.
    """

    door: Door
    provided: Provided
    vitals: OwnVitals


class LocalEnsemble:
    """The ``Ensemble`` whose native nodes, and whose ends of lanes, are in this process.

    Each process may own ``pool_bytes`` of shared memory. Without ``surroundings`` the client
    is here too, and a supervisor is hired where one is needed.
    """

    host = None

    def __init__(
        self,
        context: SessionExecutionContext,
        gateway: Gateway,
        events: ExecutorEvents,
        pool_bytes: int,
        surroundings: Surroundings | None = None,
    ) -> None:
        self.executors: list[NodeExecutor] = []
        self._context = context
        self._gateway = gateway
        self._events = events
        self._pool_bytes = pool_bytes
        self._surroundings = surroundings
        self._station: Station | None = None
        self._side: SideWiring | None = None

    async def start(self) -> None:
        context, around = self._context, self._surroundings
        config = context.plan.configuration
        multiprocess: MultiprocessExecutor | None = None
        if context.multiprocess_config is not None or around is not None:
            size = config.max_message_bytes
            self._station = Station(
                SESSIONS_OWNER, self._pool_bytes, size, self._events, context.epochs
            )
        native = NativeExecutor(
            context.session_id,
            config,
            self._events,
            self._allocate,
            epochs=context.epochs,
            vitals=around.vitals if around else None,
        )
        self.executors = [native]
        if context.multiprocess_config is not None and self._station is not None:
            multiprocess = MultiprocessExecutor(
                context.session_id,
                config,
                self._events,
                self._pool_bytes,
                station=self._station,
                provided=around.provided if around else NOTHING_PROVIDED,
            )
            self.executors.append(multiprocess)
        for executor in self.executors:
            context.bind(executor)
        await self._start_executors()
        door = around.door if around else None
        executors = (native, multiprocess)
        Wiring(context, self._gateway, executors, self._station, door).lay_all()
        self._side = SideWiring(native, multiprocess, self._station, context.epochs)

    def begin(self) -> None:
        for executor in self.executors:
            executor.begin()

    def stop_producing(self) -> None:
        for executor in self.executors:
            executor.stop_producing()

    def interrupt(self, by: str) -> None:
        for executor in self.executors:
            executor.interrupt(by)

    def lay(self, spec: LaneSpec, gone: Gone) -> End:
        return self._sidelines.lay(spec, gone)

    def connect(self, spec: LaneSpec, sock: socket.socket) -> None:
        """Give a node here its end of a lane that a client in another process wants."""
        self._sidelines.connect(spec, sock)

    def release(self, end: End) -> None:
        self._sidelines.release(end)

    def set_state(self, node_id: str, state: NodeState) -> None:
        self._executor_of(node_id).set_state(node_id, state)

    def confirm(self, node_id: str, number: int) -> None:
        self._executor_of(node_id).confirm(node_id, number)

    async def measure(self) -> None:
        for executor in self.executors:
            await executor.measure()

    async def stop(self, ask_s: float) -> None:
        if self._station is not None:
            self._station.ending = True
        stops = [self._stop(executor, ask_s) for executor in self.executors]
        if len(stops) == 1:
            await stops[0]
        else:
            await asyncio.gather(*stops)
        if self._station is not None:
            self._station.close()

    async def _start_executors(self) -> None:
        starts = [executor.start(self._nodes_of(executor)) for executor in self.executors]
        if len(starts) == 1:
            await starts[0]
            return
        try:
            async with asyncio.TaskGroup() as group:
                for start in starts:
                    group.create_task(start)
        except* (PenstockError, OSError) as errors:
            raise errors.exceptions[0] from None

    @property
    def _sidelines(self) -> SideWiring:
        assert self._side is not None  # noqa: S101  # made in start
        return self._side

    def _executor_of(self, node_id: str) -> NodeExecutor:
        kind = self._context.plan.node(node_id).executor
        return next(one for one in self.executors if one.executor_type is kind)

    def _nodes_of(self, executor: NodeExecutor) -> list[NodeAssignment]:
        nodes = self._context.plan.nodes
        return [node for node in nodes if node.executor is executor.executor_type]

    def _allocate(self, nbytes: int) -> NDArray[np.uint8]:
        """Memory for a native node's output: shared, where there is a process to read it."""
        if self._station is not None:
            return self._station.allocate(nbytes)
        return np.empty(nbytes, dtype=np.uint8)

    async def _stop(self, executor: NodeExecutor, ask_s: float) -> None:
        try:
            await executor.stop(ask_s)
        except Exception as exc:  # noqa: BLE001  # whatever it is, the others must be stopped too
            kind: ExecutorType = executor.executor_type
            self._events.failed(SessionError(f"its {kind} executor: {exc!r}"))
