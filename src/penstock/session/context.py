"""The state of one session, and the data model's relationships as views of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from penstock.bridges import NO_EPOCHS, DataBridge, Epochs, Lane
from penstock.data import ExecutorType
from penstock.errors import SessionError
from penstock.executors.base import NodeRecords
from penstock.executors.multiprocess.limits import MemoryLimiter, memory_limiter
from penstock.machine import Machine
from penstock.manifest import ManifestConfiguration
from penstock.planning import NodeExecutionPlan, NodeExecutorAssignment
from penstock.session.status import SessionEvent, SessionStatus, session_machine


@dataclass(frozen=True, slots=True)
class SessionExecutorBinding:
    """An executor of a session; there is one instance per type."""

    session_id: str
    executor_type: ExecutorType
    executor_instance: NodeRecords
    spawned_at: float


@dataclass(frozen=True, slots=True)
class ExecutorDataFlow:
    """The bridges that lead to an executor and away from it."""

    executor_type: ExecutorType
    inbound_bridges: tuple[DataBridge, ...]
    outbound_bridges: tuple[DataBridge, ...]


@dataclass(slots=True)
class SessionExecutionContext:
    """Everything that makes up a running session; times are of ``time.monotonic``.

    ``epochs`` is the page that says what was interrupted, from the session's start on. ``error``
    is the message of ``Error``, ``faults`` what else went wrong on the way out, and
    ``warnings`` what an operator should know though nothing has failed.
    """

    session_id: str
    plan: NodeExecutionPlan
    created_at: float = field(default_factory=time.monotonic)
    error: str | None = None
    epochs: Epochs = NO_EPOCHS
    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    machine: Machine[SessionStatus, SessionEvent] = field(init=False)
    _bindings: dict[ExecutorType, SessionExecutorBinding] = field(default_factory=dict)
    _bridges: dict[tuple[ExecutorType, ExecutorType], DataBridge] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.machine = session_machine(self.session_id)

    @property
    def status(self) -> SessionStatus:
        return self.machine.state

    @property
    def multiprocess_config(self) -> ManifestConfiguration | None:
        """The configuration, where the session has nodes in processes of their own."""
        uses = ExecutorType.MULTIPROCESS in self.node_assignments.values()
        return self.plan.configuration if uses else None

    @property
    def memory_limiter(self) -> MemoryLimiter | None:
        """What keeps the session's node processes within their memory, where that is limited."""
        config = self.multiprocess_config
        is_limited = config is not None and config.node_memory_bytes is not None
        return memory_limiter() if is_limited else None

    @property
    def executors(self) -> Mapping[ExecutorType, NodeRecords]:
        return {kind: binding.executor_instance for kind, binding in self._bindings.items()}

    @property
    def executor_bindings(self) -> tuple[SessionExecutorBinding, ...]:
        return tuple(self._bindings.values())

    @property
    def node_assignments(self) -> Mapping[str, ExecutorType]:
        """Which executor each node has; it never changes."""
        return MappingProxyType({a.node_id: a.executor_type for a in self.plan.assignments})

    @property
    def node_executor_assignments(self) -> tuple[NodeExecutorAssignment, ...]:
        """The same with the reasons."""
        return tuple(self.plan.assignments)

    @property
    def data_bridges(self) -> tuple[DataBridge, ...]:
        return tuple(self._bridges.values())

    @property
    def data_flows(self) -> tuple[ExecutorDataFlow, ...]:
        """For each executor the bridges in and out."""
        return tuple(
            ExecutorDataFlow(
                kind,
                tuple(b for b in self.data_bridges if b.target_executor is kind),
                tuple(b for b in self.data_bridges if b.source_executor is kind),
            )
            for kind in self._bindings
        )

    def bind(self, executor: NodeRecords) -> None:
        """Add an executor; raises ``SessionError`` where there is one of its type."""
        kind = executor.executor_type
        if kind in self._bindings:
            raise SessionError(f"session {self.session_id} has a {kind} executor already")
        self._bindings[kind] = SessionExecutorBinding(
            self.session_id, kind, executor, time.monotonic()
        )

    def bridge(self, lane: Lane, source: ExecutorType, target: ExecutorType) -> None:
        """Put a lane on the bridge between two executors, laying that where there is none.

        Raises ``SessionError`` where one of them is not initialised.
        """
        for kind in (source, target):
            if kind not in self._bindings:
                raise SessionError(f"lane {lane.spec.name}: no {kind} executor is initialised")
        pair = (source, target)
        if pair not in self._bridges:
            self._bridges[pair] = DataBridge(source, target)
        self._bridges[pair].add(lane)

    def release(self) -> None:
        """Close the bridges and let go of the executors; bridges keep their counters."""
        for bridge in self.data_bridges:
            bridge.close()
        self._bindings.clear()
