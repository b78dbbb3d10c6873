"""Runs nodes in the session's own process: compiled libraries under Python."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.bridges import Accept, ConsumerEnd, Epochs, ProducerEnd
from penstock.data import ExecutorType
from penstock.errors import LaneError, NodeError, NodeTimeoutError
from penstock.executors.base import ExecutorEvents
from penstock.executors.calling import (
    NodeFault,
    call_here,
    carried,
    is_async_method,
    is_the_nodes,
)
from penstock.executors.concurrent_loop import loop_class
from penstock.executors.identity import Identity
from penstock.executors.native.thread import NodeThread, error_of
from penstock.executors.native.watch import Watch
from penstock.executors.node_loop import NodeLoop
from penstock.executors.node_state import NodeState
from penstock.executors.pulse import Pulse
from penstock.executors.pump import LoopPump
from penstock.executors.statistics import NodeStatistics
from penstock.executors.trail import NodeSpan, Trail
from penstock.executors.vitals import Busy, OwnVitals
from penstock.executors.whereabouts import stacks_of
from penstock.manifest import ManifestConfiguration
from penstock.nodes import Node
from penstock.nodes.base import make_context
from penstock.nodes.catalogue import load
from penstock.planning import NodeAssignment

_log = logging.getLogger(__name__)
Allocate = Callable[[int], NDArray[np.uint8]]


class NativeNode:
    """One node, its loop, and the thread that its blocking calls run on; the node's ``Host``."""

    def __init__(
        self,
        assignment: NodeAssignment,
        session_id: str,
        events: ExecutorEvents,
        allocate: Allocate,
        pulse: Pulse,
        *,
        epochs: Epochs,
    ) -> None:
        self._epochs = epochs
        self.node_id = assignment.node_id
        self.pump = LoopPump()
        self.task: asyncio.Task[None] | None = None
        self.node: Node | None = None
        self.loop: NodeLoop | None = None
        self._assignment = assignment
        self._session_id = session_id
        self._events = events
        self._allocate = allocate
        self._pulse = pulse
        self._thread: NodeThread | None = None
        self._event_loop = asyncio.get_running_loop()

    async def set_up(self) -> None:
        """Make the node and run its ``setup``; raises ``NodeExecutionError``."""
        self._events.progress(self.node_id, "starting", 0.0, "")
        node_class = load(self._assignment.provider)
        context = make_context(node_class, self.node_id, self._session_id, self)
        try:
            params = node_class.Params.model_validate(self._assignment.params)
            self.node = node = node_class(params, context)
            slot = self._epochs.slots[self.node_id]
            identity = Identity(self.node_id, self._assignment.emits, self._epochs, slot)
            direct = not (node.blocking or is_async_method(node_class, "process"))
            make_loop = loop_class(node_class)
            self.loop = make_loop(node, identity, self.pump, self._call, self._pulse, direct=direct)
            if self._events.traces:
                self.loop.trail = Trail(self._tell_spans)
            self._events.progress(self.node_id, "loading_model", 0.0, "")
            if node_class.setup is not Node.setup:
                with self._pulse.during("setup"):
                    await self._apart(node.setup)
        except (Exception, asyncio.CancelledError) as exc:
            if not is_the_nodes(exc):
                raise
            raise error_of(self.node_id, "setup", exc) from exc
        self._events.progress(self.node_id, "ready", 1.0, "")

    @property
    def is_quick_to_set_up(self) -> bool:
        """Whether nothing of the node's own would run."""
        return load(self._assignment.provider).setup is Node.setup

    async def run(self) -> None:
        """The node's work, from its first input on; failures go to the events."""
        assert self.loop is not None  # noqa: S101  # made in set_up
        try:
            await self.loop.run()
        except NodeFault as fault:
            error = error_of(self.node_id, fault.during, fault.__cause__)
            self._events.failed(error)
        except LaneError as exc:
            self._events.failed(exc)
        except BaseException as exc:  # noqa: BLE001  # a session whose node is gone must end
            if not self.pump.closed:  # else it is the executor that cancels
                self._events.failed(error_of(self.node_id, self.loop.during, exc))
        else:
            self.flush_trail()
            self._events.finished(self.node_id)

    def flush_trail(self) -> None:
        """Tell of the spans that wait to be told."""
        if self.loop is not None and self.loop.trail is not None:
            self.loop.trail.flush()

    @property
    def has_ended(self) -> bool:
        """Whether there is nothing to tear down."""
        plain = self.node is None or type(self.node).teardown is Node.teardown
        return plain and self._thread is None

    async def tear_down(self, limit_s: float) -> None:
        """End the node; a call that does not return in time is left to its daemon thread."""
        deadline = time.monotonic() + limit_s
        try:
            if self.node is not None and type(self.node).teardown is not Node.teardown:
                with self._pulse.during("teardown"):
                    await _within(limit_s, self._apart(self.node.teardown))
        except _LateError as late:
            self._events.faulted(self.timeout("teardown", limit_s, late.task))
        except (Exception, asyncio.CancelledError) as exc:  # noqa: BLE001  # the author's
            self._events.faulted(error_of(self.node_id, "teardown", exc))
        left_s = max(deadline - time.monotonic(), 0)
        if self._thread is not None and not await self._thread.aclose(left_s):
            _log.warning("node %r: its thread does not come to an end", self.node_id)

    def timeout(
        self, during: str, limit_s: float, task: asyncio.Task[None] | None = None
    ) -> NodeTimeoutError:
        """The error for a method that takes too long, in ``task`` or the node's own."""
        tasks = [task or self.task, *(self.loop.tasks if self.loop is not None else [])]
        thread = self._thread.ident if self._thread is not None else None
        stacks = stacks_of([task for task in tasks if task is not None], thread)
        return NodeTimeoutError(self.node_id, during=during, limit_s=limit_s, stacks=stacks)

    def progress(self, fraction: float, message: str) -> None:
        self._event_loop.call_soon_threadsafe(
            self._events.progress, self.node_id, "loading_model", fraction, message
        )

    def allocate(self, nbytes: int) -> NDArray[np.uint8]:
        return self._allocate(nbytes)

    def stopping(self) -> bool:
        return self.loop is not None and not self.loop.producing

    def _tell_spans(self, spans: list[NodeSpan]) -> None:
        self._events.traced(self.node_id, os.getpid(), spans, 0)

    def turn(self) -> int:
        return 0 if self.loop is None else self.loop.turn.newest

    def interrupt(self, node_id: str) -> None:
        """For the event loop and the node's thread alike."""
        if self.loop is not None:
            self.loop.turn.asked += 1
            wanted = self._events.interrupt_wanted
            self._event_loop.call_soon_threadsafe(wanted, self.node_id, node_id)

    async def _call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Quick and async functions on the event loop, the others on the node's thread."""
        if self.node is None or not self.node.blocking:
            return await self._here(function, *args)
        return await self._apart(function, *args)

    async def _here(self, function: Callable[..., Any], *args: Any) -> Any:
        try:
            return await call_here(function, *args)
        except SystemExit as exc:
            raise carried(exc) from exc

    async def _apart(self, function: Callable[..., Any], *args: Any) -> Any:
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            return await self._here(function, *args)
        if self._thread is None:
            self._thread = NodeThread(f"penstock-{self.node_id}")
        return await self._thread(function, *args)


class NativeExecutor:
    """The ``NodeExecutor`` of the session's own process.

    ``allocate`` is where its nodes' outputs get memory from, ``config`` bounds each call into a
    node. Nodes show what they are at in ``vitals``, the page of this process, and see in ``epochs``
    what was interrupted. Its tasks are in no task group: one that ignores its cancellation is left
    behind when the time is up, and can't keep the session from ending.
    """

    executor_type = ExecutorType.NATIVE

    def __init__(
        self,
        session_id: str,
        config: ManifestConfiguration,
        events: ExecutorEvents,
        allocate: Allocate,
        *,
        epochs: Epochs,
        vitals: OwnVitals | None = None,
    ) -> None:
        self._session_id = session_id
        self._events = events
        self._init_timeout_s = config.init_timeout_secs
        self._process_timeout_s = config.process_timeout_secs
        self._epochs = epochs
        self._allocate = allocate
        self._vitals = OwnVitals() if vitals is None else vitals
        self._nodes: dict[str, NativeNode] = {}
        self._watch: Watch | None = None

    async def start(self, nodes: Sequence[NodeAssignment]) -> None:
        for assignment in nodes:
            self._nodes[assignment.node_id] = NativeNode(
                assignment,
                self._session_id,
                self._events,
                self._allocate,
                self._vitals.pulse(),
                epochs=self._epochs,
            )
        if len(nodes) == 1:
            await self._set_up(self._nodes[nodes[0].node_id])
            return
        try:
            async with asyncio.TaskGroup() as group:
                for node in self._nodes.values():
                    group.create_task(self._set_up(node))
        except ExceptionGroup as group_error:
            raise group_error.exceptions[0] from None

    def attach_input(self, node_id: str, end: ConsumerEnd, *, comes_from_here: bool) -> None:
        """Have the node take messages from a lane.

        It works on them as soon as it hears of them, unless that is its producer's own call: a
        lane inside the process passes those by itself, as far as they may (``acceptor``).
        """
        node = self._nodes[node_id]
        assert node.loop is not None  # noqa: S101  # made in set_up
        end.on_change = node.pump.notify if comes_from_here else node.loop.arrived
        node.loop.inputs.append(end)

    def attach_output(self, node_id: str, end: ProducerEnd) -> None:
        """Have the node put its outputs into a lane."""
        node = self._nodes[node_id]
        end.on_change = node.pump.notify
        assert node.loop is not None  # noqa: S101  # made in set_up
        node.loop.outputs.append(end)

    @property
    def node_ids(self) -> Set[str]:
        """The nodes that run here."""
        return self._nodes.keys()

    def attach_side_lane(self, node_id: str, end: ProducerEnd | ConsumerEnd) -> None:
        """Have the node deal with a lane that is no part of the pipeline."""
        node = self._nodes[node_id]
        end.on_change = node.pump.notify
        assert node.loop is not None  # noqa: S101  # made in set_up
        node.loop.attach(end)

    def detach_side_lane(self, node_id: str, end: ProducerEnd | ConsumerEnd) -> None:
        """Have the node go on without it."""
        loop = self._nodes[node_id].loop
        if loop is not None:
            loop.detach(end)

    def acceptor(self, node_id: str) -> Accept | None:
        """What works on a message for the node at once; None where it runs elsewhere or waits."""
        loop = self._nodes[node_id].loop
        assert loop is not None  # noqa: S101  # made in set_up
        return loop.acceptor

    def begin(self) -> None:
        if self._process_timeout_s is not None:
            self._watch = Watch(self._vitals, self._process_timeout_s, self._on_late)
            self._watch.start()
        for node in reversed(self._nodes.values()):  # a consumer listens before it is called
            node.task = asyncio.create_task(node.run(), name=f"node {node.node_id}")

    def stop_producing(self) -> None:
        for node in self._nodes.values():
            if node.loop is not None:
                node.loop.stop_producing()

    def interrupt(self, by: str) -> None:
        for node_id, node in self._nodes.items():
            if node.loop is not None:
                node.loop.turn.answered += by == node_id
                node.loop.interrupt()

    def set_state(self, node_id: str, state: NodeState) -> None:
        loop = self._nodes[node_id].loop
        if loop is not None:
            loop.state = state

    def confirm(self, node_id: str, number: int) -> None:
        """What a node here is told, it has heeded."""
        self._events.confirmed(number)

    async def measure(self) -> None:
        """Everything is counted here: ``statistics`` are always up to date."""
        for node in self._nodes.values():
            node.flush_trail()

    @property
    def statistics(self) -> Mapping[str, NodeStatistics]:
        return {node_id: node.loop.measured() for node_id, node in self._nodes.items() if node.loop}

    def pid(self, node_id: str) -> int:
        return os.getpid()

    async def stop(self, ask_s: float) -> None:
        if self._watch is not None:
            self._watch.stop()
        for node in self._nodes.values():
            node.pump.close()
        running = [node.task for node in self._nodes.values() if node.task is not None]
        tasks = [task for task in running if not task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=ask_s)
        for node in self._nodes.values():
            node.flush_trail()
        to_end = [node.tear_down(ask_s) for node in self._nodes.values() if not node.has_ended]
        if to_end:
            await asyncio.gather(*to_end)

    def _on_late(self, call: Busy) -> None:
        assert self._process_timeout_s is not None  # noqa: S101  # else nobody watches
        node = list(self._nodes.values())[call.slot]
        self._events.failed(node.timeout(call.method, self._process_timeout_s))

    async def _set_up(self, node: NativeNode) -> None:
        try:
            if node.is_quick_to_set_up:
                await node.set_up()
            else:
                await _within(self._init_timeout_s, node.set_up())
        except _LateError as late:
            error = node.timeout("setup", self._init_timeout_s, late.task)
            self._events.progress(node.node_id, "error", 0.0, str(error))
            raise error from None
        except NodeError as exc:
            self._events.progress(node.node_id, "error", 0.0, str(exc))
            raise


class _LateError(Exception):  # never leaves this module
    """``task`` did not end in time; it has been cancelled, and has not heard of it yet."""

    def __init__(self, task: asyncio.Task[None]) -> None:
        super().__init__()
        self.task = task


async def _within(limit_s: float, work: Coroutine[Any, Any, None]) -> None:
    """Await what may not even heed its cancellation; raises ``_LateError`` and leaves it."""
    task = asyncio.create_task(work)
    try:
        done, _ = await asyncio.wait([task], timeout=limit_s)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not done:
        task.cancel()
        raise _LateError(task)
    await task
