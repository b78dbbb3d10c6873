"""A session as its user holds it: open it from a manifest, send, read, close."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Self

from penstock.data import CLIENT, Message, Value
from penstock.errors import (
    PenstockError,
    SessionCancelledError,
    SessionClosedError,
    SessionError,
)
from penstock.executors.multiprocess.transport import guaranteed_pool
from penstock.executors.trail import NodeSpan, Trail
from penstock.nodes.importing import nodes_are_being_imported
from penstock.planning import NodeExecutionPlan
from penstock.session.admissible import ManifestSource, planned, within
from penstock.session.budget import Budget
from penstock.session.bus import Attachment
from penstock.session.context import SessionExecutionContext
from penstock.session.counters import Counters
from penstock.session.gateway import Inlet
from penstock.session.inputs import Inward
from penstock.session.life import Life
from penstock.session.metrics import SessionMetrics, SessionTotals
from penstock.session.options import Interruption, SessionOptions
from penstock.session.output import Output
from penstock.session.reading import Reading


class Session:
    """One run of the pipeline that a manifest describes.

    ::

        async with Session("pipeline.json") as session:
            await session.send("gain", Audio(samples, 16_000))
            await session.end()
            async for output in session.outputs():
                print(output.node_id, output.value)

    Leaving the block ends the session, at once where it is not complete, and raises its failure
    if nobody has heard of that yet. The same interface
    for every executor; all methods belong to the event loop that started it.
    """

    def __init__(self, manifest: ManifestSource, options: SessionOptions | None = None) -> None:
        """Parse and plan, unless that was done: a plan may be run again and again.

        Raises ``ManifestError`` with every fault, and ``ResourceLimitError`` for what can't run
        within ``max_memory_bytes``; nothing is started.
        """
        self._options = options or SessionOptions()
        durations = self._options.durations.means_ms()
        if isinstance(manifest, NodeExecutionPlan):
            plan = manifest.estimated(durations)
        else:
            plan = planned(manifest, self._options, durations)
        plan, self._cost = within(plan, self._options)
        session_id = self._options.session_id or uuid.uuid4().hex
        self.context = SessionExecutionContext(session_id, plan)
        self._budget = self._options.budget or Budget(self._options.settings.limits)
        self._life: Life | None = None
        self._root: asyncio.Task[None] | None = None
        self._trail: Trail | None = None
        self._inward: Inward | None = None
        self._counters = Counters(self.context)
        self._read = False
        self._told = False

    @property
    def session_id(self) -> str:
        return self.context.session_id

    @property
    def plan(self) -> NodeExecutionPlan:
        return self.context.plan

    @property
    def sources(self) -> tuple[str, ...]:
        """The nodes that take inputs from outside."""
        return self.plan.sources

    @property
    def sinks(self) -> tuple[str, ...]:
        """The nodes whose outputs leave the pipeline."""
        return self.plan.sinks

    @property
    def failure(self) -> PenstockError | None:
        """What has ended the session early, so far; looking tells nobody."""
        return self._life.failure if self._life is not None else None

    @property
    def is_started(self) -> bool:
        return self._root is not None

    async def start(self) -> None:
        """Reserve what the session costs, initialise all nodes, lay the bridges.

        Raises ``ResourceLimitError`` or ``SessionError`` before anything starts, and the
        first ``NodeError`` of a node that can't be initialised once everything is gone again.
        """
        if self._root is not None:
            raise SessionError("a session is started once")
        if nodes_are_being_imported():
            raise SessionError(
                "a session was started while a node's process imports this script; guard what "
                "the script does with: if __name__ == '__main__':"
            )
        pool_bytes = guaranteed_pool(self.plan.configuration.max_message_bytes)
        self._budget.reserve(self.session_id, self._cost)
        self._life = Life(self.context, self._options, pool_bytes)
        if self._life.traces:
            self._trail = Trail(self._tell_spans)
        self._inward = Inward(self._life, self._counters, self._trail)
        self._root = asyncio.create_task(self._life.run(), name=f"session {self.session_id}")
        self._root.add_done_callback(self._on_root_done)
        try:
            await asyncio.shield(self._life.ready)
        except asyncio.CancelledError:
            self._life.ready.cancel()  # nobody waits for it any more
            await self.cancel(SessionCancelledError.CLIENT_LEFT)
            raise

    async def send(
        self,
        node_id: str,
        value: Value,
        *,
        sequence: int | None = None,
        timestamp_us: int = 0,
        entered_ns: int | None = None,
    ) -> int:
        """Send a value to a source and return its sequence number (default: one up, from 1).

        ``entered_ns`` is when it came, in ``time.perf_counter_ns`` (default: now); the time to what
        comes of it counts from then. Waits while the inlet is full. Raises ``InputError`` for a
        node or value that can't be taken, ``SessionClosedError`` after the end, ``StallError``
        where waiting can't end, and the session's failure once it has failed.
        """
        inward = self._way_in()
        used = inward.offer(node_id, value, sequence, timestamp_us, entered_ns)
        if used is not None:
            return used
        inlet, message = inward.prepare(node_id, value, sequence, timestamp_us, entered_ns)
        await self._put(inlet, message)
        inward.count(message)
        return message.sequence

    def send_nowait(
        self,
        node_id: str,
        value: Value,
        *,
        sequence: int | None = None,
        timestamp_us: int = 0,
        entered_ns: int | None = None,
    ) -> int | None:
        """As ``send``, where it need not wait; None where it would, and nothing was sent."""
        return self._way_in().offer(node_id, value, sequence, timestamp_us, entered_ns)

    async def end(self, *, keep_producing: bool = False) -> None:
        """No more inputs: everything in the pipeline drains, and ``outputs`` comes to its end.

        Nodes that produce are asked to stop; with ``keep_producing`` they go on to an end of
        their own.
        """
        life = self._running()
        life.begin()
        life.end_inputs(keep_producing=keep_producing)

    async def interrupt(self, node_id: str | None = None) -> int:
        """Stop what is downstream of a node for the current turn (barge-in), and go on.

        Whatever the node has given so far is dropped, wherever it is; the nodes behind it give up
        what they make of it, and are told (``Node.interrupt``). What is upstream goes on, and so
        does the node itself: name the last one whose work is to be kept. None names the client:
        all that was sent is given up. When this returns ``outputs`` gives nothing stale any more.

        Gives the number of the interrupt. Raises ``InputError`` for a node that there is not, and
        as ``send`` does after the end.
        """
        life = self._running()
        if node_id is not None:
            life.bus.node(node_id)
        return life.interrupt(CLIENT if node_id is None else node_id)

    @asynccontextmanager
    async def attach(
        self, on_interrupt: Callable[[Interruption], None] | None = None
    ) -> AsyncIterator[Attachment]:
        """Watch and change single nodes while the session runs, as soon as it is ready.

        There may be many attachments at once; leaving the block removes what this one has set
        up. ``on_interrupt`` is told of every interrupt. Raises as ``send`` does after the end,
        and what keeps the session from being initialised.
        """
        life = self._started()
        await asyncio.wait([life.ready])  # whose result is for who started it
        self._running()
        attachment = Attachment(life.bus, self._check, self._stamp, on_interrupt)
        try:
            yield attachment
        finally:
            attachment.close()

    async def until_over(self) -> None:
        """Wait until all nodes have finished, or the session has failed.

        What it gave may still be there to be read.
        """
        await self._started().over.wait()

    async def outputs(
        self, at_once: Callable[[Output], bool] | None = None
    ) -> AsyncGenerator[Output, None]:
        """What leaves the pipeline, as it comes, for one reader.

        While that waits, ``at_once`` is called with each output the moment it comes, and says
        whether it has taken it: the reader gets what it hasn't. Order holds per sink. Ends when
        every sink has ended and all nodes have finished; raises the session's failure.
        """
        life = self._running()
        if self._read:
            raise SessionError("a session's outputs have one reader")
        self._read = True
        life.begin()
        reading = Reading(life, self._counters, self._trail, at_once)
        while True:
            if life.failure is not None:
                self._check_failure()
            output = reading.take()
            if output is not None:
                yield output
                reading.done()
            elif life.gateway.drained:
                break
            else:
                await reading.idle()
        await life.over.wait()
        self._check_failure()

    async def cancel(self, reason: str) -> None:
        """Stop at once and wait until everything is gone; what is on its way is lost."""
        await self.fail(SessionCancelledError(reason))

    async def fail(self, error: PenstockError) -> None:
        """The same for who knows what is wrong: that is its failure, where it has none yet."""
        self.fail_nowait(error)
        if self._root is not None:
            await asyncio.shield(self._root)

    def fail_nowait(self, error: PenstockError) -> None:
        """Have it fail; who needs everything to be gone waits for ``aclose``."""
        if self._life is not None and self._root is not None:
            self._life.leave(error)

    async def aclose(self) -> None:
        """Release everything: a complete session in order, any other at once."""
        if self._life is not None and not self._life.over.is_set():
            self._life.leave(SessionCancelledError("closed before its end"))
        if self._root is not None and not self._root.done():
            await asyncio.shield(self._root)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        await self.aclose()
        failure = self.failure
        left = isinstance(failure, SessionCancelledError)
        if failure is not None and kind is None and not self._told and not left:
            raise failure

    async def metrics(self) -> SessionMetrics:
        """What has been measured so far; after the end, the final word."""
        life = await self._measured()
        wall_time_s = (life.ended_at or time.monotonic()) - life.started_at
        return self._counters.metrics(life.ensemble, wall_time_s)

    async def totals(self) -> SessionTotals:
        """The same of the session as a whole, which costs a fraction."""
        return self._counters.totals((await self._measured()).ensemble)

    async def _measured(self) -> Life:
        """The session's life, all of which has been measured."""
        life = self._started()
        if self._trail is not None:
            self._trail.flush()
        await life.measure()
        return life

    def _on_root_done(self, root: asyncio.Task[None]) -> None:
        """Everything is gone: give the budget back, and let ``start`` raise if it waits."""
        self._budget.release(self.session_id)
        if self._trail is not None:
            self._trail.flush()
        life = self._started()
        for executor in life.ensemble.executors:
            for node_id, stats in executor.statistics.items():
                node_type = self.plan.node(node_id).node_type
                self._options.durations.record(node_type, stats.execution_ns / 1e6, stats.items)
        ready = life.ready
        if not ready.done():
            ready.set_exception(self._failure() or root.exception() or SessionError("ended"))

    async def _put(self, inlet: Inlet, message: Message) -> None:
        """Wait for space; a reader that takes something meanwhile is slow, but it moves."""
        read_before = self._counters.outputs

        async def check_stall() -> None:
            nonlocal read_before
            if read_before == self._counters.outputs:
                await self._started().look_for_stall(client_waits=True)
            read_before = self._counters.outputs

        stall_s = self.plan.configuration.stall_timeout_secs
        await inlet.put(message, self._check, check_stall, stall_s)

    def _stamp(self, value: Value, timestamp_us: int) -> Message:
        return self._way_in().between(value, timestamp_us)

    def _tell_spans(self, spans: list[NodeSpan]) -> None:
        self._started().traced(CLIENT, os.getpid(), spans, 0)

    def _started(self) -> Life:
        if self._life is None:
            raise SessionError("the session has not been started")
        return self._life

    def _running(self) -> Life:
        """The life of a session that may still be used."""
        life = self._life
        if life is None or life.failure is not None or life.over.is_set():
            life = self._started()
            self._check()
        return life

    def _way_in(self) -> Inward:
        """That of a session that may still be used."""
        self._running()
        assert self._inward is not None  # noqa: S101  # made in start
        return self._inward

    def _failure(self) -> PenstockError | None:
        """What ended the session early; who asks is told."""
        failure = self.failure
        self._told = self._told or failure is not None
        return failure

    def _check_failure(self) -> None:
        failure = self._failure()
        if failure is not None:
            raise failure

    def _check(self) -> None:
        self._check_failure()
        if self._started().over.is_set():
            raise SessionClosedError("the session has ended")
