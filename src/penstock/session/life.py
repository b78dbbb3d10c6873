"""The course of a session, from its first executor to its last release.

One root task runs it, and the executors' tasks end before it does. Whatever ends a session
(completion, a failure, a client that leaves), it ends here, with everything that it started gone.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from penstock.bridges import EpochPage, LaneSpec
from penstock.data import CLIENT, ExecutorType
from penstock.errors import (
    NodeError,
    PenstockError,
    SessionCancelledError,
    StallError,
    SupervisionError,
    UnknownNodeError,
)
from penstock.executors.multiprocess.limits import unavailable
from penstock.executors.multiprocess.messages import HOST
from penstock.executors.trail import NodeSpan
from penstock.planning import NodeExecutionPlan
from penstock.session.bus import Bus
from penstock.session.context import SessionExecutionContext
from penstock.session.ensemble import Ensemble, LocalEnsemble
from penstock.session.gateway import Gateway
from penstock.session.hosting import HostedEnsemble
from penstock.session.logs import NODE_LOGGER
from penstock.session.options import (
    Interruption,
    NodeOutput,
    NodeProgress,
    NodeSpans,
    SessionOptions,
)
from penstock.session.stall import Wait, find_ring, stuck
from penstock.session.status import SessionEvent, SessionStatus, fail

_log = logging.getLogger(__name__)
_node_log = logging.getLogger(NODE_LOGGER)
Told = TypeVar("Told")
END_S = 2.0
"""How long nodes may take to tear down after a pipeline that completed."""
ABORT_S = 0.5
"""The same after a failure, or when the client has left."""
MOST_NOTES = 1000
"""Faults on the way out, and warnings, that a session keeps of each."""
_Look = dict[str, tuple[list[str], int]]
_LOOKS = 3
"""What nodes wait for must be the same so often before it is taken for a stall."""


class Life:
    """Runs a session; its executors' ``ExecutorEvents``.

    ``ready`` is done when the session may be used, or failed to get there; ``failure`` is
    what ended the session early. ``pool_bytes`` is what each process may own of shared memory.
    """

    def __init__(
        self, context: SessionExecutionContext, options: SessionOptions, pool_bytes: int
    ) -> None:
        self.context = context
        self.gateway = Gateway()
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.over = asyncio.Event()
        self.has_begun = False
        self.failure: PenstockError | None = None
        self.traces = options.on_spans is not None
        self.ensemble = self._make_ensemble(options, pool_bytes)
        self.bus = Bus(context, self.ensemble, pool_bytes)
        self.started_at = time.monotonic()
        self.ended_at: float | None = None
        self._options = options
        self._root: asyncio.Task[None] | None = None
        self._initialising: asyncio.Task[None] | None = None
        self._unfinished = set(context.plan.order)
        self._page: EpochPage | None = None
        context.machine.on_step = self._tell_status

    def _make_ensemble(self, options: SessionOptions, pool_bytes: int) -> Ensemble:
        """In a host, where there are hosts."""
        if options.hosts is None:
            return LocalEnsemble(self.context, self.gateway, self, pool_bytes)
        return HostedEnsemble(
            self.context,
            self.gateway,
            self,
            pool_bytes,
            options.hosts,
            listens=options.on_progress is not None,
        )

    async def run(self) -> None:
        """The root task: it keeps the first failure, and whatever happens, it cleans up."""
        self._root = asyncio.current_task()
        try:
            if self.failure is None:  # else its client left before anything was started
                await self._initialise()
            if self.failure is None:
                self.context.machine.step(SessionEvent.INITIALIZED)
                self.ready.set_result(None)
                await self._until_over()
                await asyncio.sleep(0)  # who waited for the last output goes on first
        except asyncio.CancelledError:  # the event loop is being closed around it
            self.failure = self.failure or SessionCancelledError("its event loop ends")
        finally:
            await self._terminate()

    def begin(self) -> None:
        """The pipeline's execution starts; doing it twice is harmless."""
        if not self.has_begun and self.context.status is SessionStatus.READY:
            self.has_begun = True
            self.context.machine.step(SessionEvent.STARTED)
            self.ensemble.begin()

    def end_inputs(self, *, keep_producing: bool) -> None:
        """No more inputs, nor new ones from nodes that produce: everything drains."""
        self.gateway.end()
        if not keep_producing:
            self.ensemble.stop_producing()

    def leave(self, error: PenstockError) -> None:
        """The client wants no more, is gone, or has done what it mustn't: stop at once."""
        if self.context.status not in (SessionStatus.TERMINATING, SessionStatus.TERMINATED):
            self._end_early(error)

    def interrupt(self, node_id: str, by: str = "") -> int:
        """What is downstream of a node, or of the ``CLIENT``, is stale from now on.

        Gives the interrupt's epoch.
        """
        plan, epoch = self.context.plan, 0
        downstream = plan.downstream(node_id)
        if self._page is not None:  # else nothing has been started
            slots = self._page.slots
            epoch = self._page.interrupt(slots[node_id], [slots[name] for name in downstream])
            self.ensemble.interrupt(by)
        named = None if node_id == CLIENT else node_id
        sinks = tuple(name for name in plan.sinks if name in (node_id, *downstream))
        said = Interruption(named, by or None, epoch, sinks)
        for listener in (self._options.on_interrupt, *self.bus.listeners):
            if listener is not None:
                _call_back(listener, said)
        return epoch

    def interrupt_wanted(self, by: str, node_id: str) -> None:
        if self.over.is_set():
            return
        try:
            self.bus.node(node_id)
        except UnknownNodeError as exc:
            self.failed(NodeError(by, f"it interrupts another, but {exc}"))
        else:
            self.interrupt(node_id, by)

    async def measure(self) -> None:
        """Bring all counters up to date; a node that has finished has told its last."""
        if self.ended_at is None and self._unfinished:
            await self.ensemble.measure()

    async def look_for_stall(self, *, client_waits: bool) -> None:
        """End the session where nodes wait for one another so that none can ever go on.

        ``client_waits`` says that the client does nothing but wait for room. A node answers
        before it heeds what came just before the question: it is asked again and again.
        """
        seen: _Look = {}
        for _ in range(_LOOKS):
            await self.measure()
            await asyncio.sleep(0)  # whoever was woken meanwhile goes on
            look = self._stuck(client_waits=client_waits)
            if not look or (seen and look != seen):
                return
            seen = look
        ring = find_ring({node_id: on for node_id, (on, _) in seen.items()})
        if ring is not None and not self.over.is_set():
            limit_s = self.context.plan.configuration.stall_timeout_secs
            names = ["client" if name == CLIENT else name for name in ring]
            self.failed(StallError(names, limit_s=limit_s))

    def progress(self, node_id: str, stage: str, fraction: float, message: str) -> None:
        if self._options.on_progress is not None:
            elapsed_s = time.monotonic() - self.started_at
            said = NodeProgress(node_id, stage, fraction, message, elapsed_s)
            _call_back(self._options.on_progress, said)

    def output(self, node_id: str, stream: str, lines: Sequence[str]) -> None:
        session_id = self.context.session_id
        who = "its host" if node_id == HOST else f"node {node_id!r}"
        for line in lines:
            if self._options.on_output is not None:
                _call_back(self._options.on_output, NodeOutput(node_id, stream, line))
            else:
                about = self._about(node_id) | {"stream": stream, "line": line}
                _node_log.info("session %s, %s, %s: %r", session_id, who, stream, line, extra=about)

    def failed(self, error: PenstockError) -> None:
        """The first failure ends the session; one on the way out is only recorded."""
        if self.over.is_set() or self.context.status is SessionStatus.TERMINATED:
            self.faulted(error)
        elif self._root is None or not self._root.cancelling():  # else all tasks are cancelled
            self._end_early(error)

    def faulted(self, error: PenstockError) -> None:
        if len(self.context.faults) == MOST_NOTES:
            return  # it may be a process out of its mind that says so
        self.context.faults.append(str(error))
        session_id, about = self.context.session_id, self._about(getattr(error, "node_id", None))
        _log.warning("session %s, on its way out: %s", session_id, error, extra=about)

    def hoarding(self, lane: LaneSpec, held: int, held_bytes: int) -> None:
        if len(self.context.warnings) == MOST_NOTES:
            return
        keepers = _keepers(self.context.plan, lane.target)
        named = ["the client" if name == CLIENT else f"node {name!r}" for name in keepers]
        source = lane.source.removeprefix("@")
        warning = (
            f"{' or '.join(named)} never lets go of its inputs from {source!r}: it holds {held}, "
            f"which pin {held_bytes >> 20} MiB; from now on it gets copies"
        )
        self.context.warnings.append(warning)
        session_id, about = self.context.session_id, self._about(lane.target)
        _log.warning("session %s: %s", session_id, warning, extra=about)

    def traced(self, node_id: str, pid: int, spans: Sequence[NodeSpan], lost: int) -> None:
        if self._options.on_spans is not None:
            _call_back(self._options.on_spans, NodeSpans(node_id, pid, spans, lost))

    def confirmed(self, number: int) -> None:
        self.bus.confirm(number)

    def finished(self, node_id: str) -> None:
        self.bus.finish(node_id)
        self._unfinished.discard(node_id)
        if not self._unfinished:
            self._end()

    def _about(self, node_id: str | None) -> dict[str, str]:
        """The fields of a log record that say what it is about."""
        about = {"session_id": self.context.session_id}
        if node_id is not None:
            about["node_id"] = node_id
            if node_id in self.context.plan.order:
                about["node_type"] = self.context.plan.node(node_id).node_type
        return about

    def _tell_status(self, status: SessionStatus) -> None:
        if self._options.on_status is not None:
            _call_back(self._options.on_status, status)

    def _stuck(self, *, client_waits: bool) -> _Look:
        """The nodes that can't go on, with those they wait for, and how far each has come."""
        waits, done = {}, {}
        if client_waits:
            waits[CLIENT] = Wait(self.gateway.waiting, for_any=True)
        for executor in self.ensemble.executors:
            for node_id, stats in executor.statistics.items():
                waits[node_id] = Wait(tuple(stats.waits_for), stats.for_any)
                done[node_id] = stats.items + stats.outputs + stats.unmatched
        held = stuck(waits)
        return {node_id: (on, done.get(node_id, 0)) for node_id, on in held.items()}

    async def _until_over(self) -> None:
        """Joins can hold one another up while the client waits for what comes out."""
        plan = self.context.plan
        limit_s = plan.configuration.stall_timeout_secs if plan.joins else None
        while not self.over.is_set():
            try:
                async with asyncio.timeout(limit_s):
                    await self.over.wait()
            except TimeoutError:
                await self.look_for_stall(client_waits=False)

    def _end_early(self, error: PenstockError) -> None:
        if self.failure is None:
            self.failure = error
        if self._initialising is not None:
            self._initialising.cancel()
        self._end()

    def _end(self) -> None:
        self.over.set()
        self.gateway.wake()
        self.bus.wake()

    async def _initialise(self) -> None:
        """All executors at once, then the lanes between them; a client may leave meanwhile."""
        self._initialising = root = asyncio.current_task()
        try:
            self._lay_page()
            await self.ensemble.start()
        except PenstockError as exc:
            self.failure = self.failure or exc
        except OSError as exc:  # no descriptors left, say
            self.failure = self.failure or unavailable(exc)
        except Exception as exc:  # noqa: BLE001  # whatever it is, it must still end
            self.failure = self.failure or SupervisionError(f"it can't be initialised: {exc!r}")
        except asyncio.CancelledError:
            if self.failure is None or root is None:
                raise
            root.uncancel()
        finally:
            self._initialising = None

    def _lay_page(self) -> None:
        """The page of epochs: others read it where there are other processes."""
        context = self.context
        hosted = self._options.hosts is not None
        shared = hosted or context.multiprocess_config is not None
        self._page = context.epochs = EpochPage(context.plan.slots, shared=shared)

    async def _terminate(self) -> None:
        self.over.set()
        self._step_to_the_end()
        if self.failure is None:
            await self.bus.settle()
        self.bus.end()
        ask_s = END_S if self.failure is None else ABORT_S
        await self.ensemble.stop(ask_s)
        self.context.epochs.close()
        self.ended_at = time.monotonic()
        self.context.release()
        self.context.machine.step(SessionEvent.CLEANED_UP)
        self.gateway.wake()

    def _step_to_the_end(self) -> None:
        machine = self.context.machine
        if self.failure is None:
            machine.step(SessionEvent.COMPLETED)
            return
        self.context.error = str(self.failure)
        if isinstance(self.failure, SessionCancelledError) and machine.can(
            SessionEvent.CLIENT_LEFT
        ):
            machine.step(SessionEvent.CLIENT_LEFT)
        else:
            fail(machine)


def _keepers(plan: NodeExecutionPlan, target: str) -> list[str]:
    """Who may hold what comes to a node: it, and whoever it gives that to within its process."""
    found = [target]
    for name in found:
        if name != CLIENT and _is_here(plan, name):
            onward = [edge.target for edge in plan.edges if edge.source == name] or [CLIENT]
            found += [other for other in onward if other not in found and _is_here(plan, other)]
    return found


def _is_here(plan: NodeExecutionPlan, name: str) -> bool:
    """Whether it is in the session's process."""
    return name == CLIENT or plan.node(name).executor is ExecutorType.NATIVE


def _call_back(callback: Callable[[Told], None], said: Told) -> None:
    """What the user's callback raises is the user's business, and no reason to end."""
    try:
        callback(said)
    except Exception:  # noqa: BLE001  # whatever it is, it is not ours
        _log.exception("a callback failed")
