"""Gathers a service's metrics when somebody asks for them, and not more often than that helps."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from penstock import __version__
from penstock.bridges import count_time, no_counts
from penstock.data import ExecutorType
from penstock.errors import SessionError
from penstock.executors.multiprocess.launcher import LAUNCHER
from penstock.session import Session, SessionMetrics, SessionStatus
from penstock.session.observing import ServiceView
from penstock.telemetry import families as f
from penstock.telemetry.exposition import Page, page_of
from penstock.telemetry.families import Family
from penstock.telemetry.ledger import Ledger, Place, Tally, Times
from penstock.telemetry.processes import Seen, look
from penstock.telemetry.sessions import outcome_of, tally_of

FRESH_S = 1.0
"""What was gathered so recently is told again."""
MEASURE_S = 2.0
"""How long all sessions together may take to tell; what doesn't counts as it did last."""
AT_ONCE = 32
"""Sessions that are asked at the same time."""
LOOK_EVERY_S = 5.0
"""How often the kernel is asked about processes: that costs it a look at all their pages."""
_MEASURABLE = (SessionStatus.READY, SessionStatus.EXECUTING, SessionStatus.TERMINATING)
_BYTES = "_bytes"


class Metrics:
    """Counts what it is told, and asks for the rest at each scrape; ``more`` adds to that."""

    def __init__(self, more: Callable[[Tally], None]) -> None:
        self._more = more
        self.ledger = Ledger()
        self._open_calls: Counter[str] = Counter()
        self._view: ServiceView | None = None
        self._fresh = asyncio.Lock()
        self._gathered_at = self._looked_at = float("-inf")
        self._measured_at: dict[str, float] = {}
        self._node_types: dict[int, str] = {}
        self._seen: list[Seen] = []
        self._zygotes_before = 0
        self._thread: ThreadPoolExecutor | None = None

    @contextlib.asynccontextmanager
    async def of(self, view: ServiceView) -> AsyncIterator[None]:
        """Gather from a service, for the length of the block."""
        self._view = view
        self._zygotes_before = max(LAUNCHER.started, 1)
        with ThreadPoolExecutor(1, "penstock-metrics") as self._thread:
            try:
                yield
            finally:
                self._view = None

    def call_began(self, method: str) -> float:
        """When that was, for ``call_ended``."""
        self._open_calls[method] += 1
        return time.perf_counter_ns()

    def call_ended(self, method: str, code: str, began_ns: float) -> None:
        self._open_calls[method] -= 1
        taken_ns = int(time.perf_counter_ns() - began_ns)
        counts = no_counts()
        count_time(counts, taken_ns)
        self.ledger.add(f.CALLS, (method, code))
        self.ledger.add_times(f.CALL_DURATION, (method,), Times(counts, taken_ns / 1e9))

    def session_ended(self, session: Session, metrics: SessionMetrics) -> None:
        self.ledger.update(session.session_id, tally_of(session.plan, metrics))
        self.ledger.forget(session.session_id)
        self._measured_at.pop(session.session_id, None)
        self.ledger.add(f.SESSIONS_ENDED, (outcome_of(session.failure),))

    async def page(self, accept: str) -> tuple[bytes, str]:
        """The page as a scraper wants it; made on a thread, as it may be long."""
        page = await self._current()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, page.encoded, accept)

    async def _current(self) -> Page:
        async with self._fresh:
            if self._view is not None and time.monotonic() - self._gathered_at >= FRESH_S:
                await self._gather(self._view)
                self._gathered_at = time.monotonic()
            return page_of(self.ledger, dict(self._gauges()))

    async def _gather(self, view: ServiceView) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(MEASURE_S):
                await self._measure(view)
        if time.monotonic() - self._looked_at >= LOOK_EVERY_S:
            await self._look_at_processes(view)
            self._looked_at = time.monotonic()
        tally = Tally()
        for source, count in view.hosts.taken.items():
            tally.counters[f.HOSTS_TAKEN, (source,)] = count
        for labels, count in view.hosts.warm.taken.items():
            tally.counters[f.WARM_TAKEN, labels] = count
        for resource, count in view.budget.refusals.items():
            tally.counters[f.REFUSALS, (resource,)] = count
        tally.counters[f.ZYGOTE_RESTARTS, ()] = LAUNCHER.started - self._zygotes_before
        self._more(tally)
        self.ledger.update("service", tally)

    async def _measure(self, view: ServiceView) -> None:
        """Those that were not asked for the longest time come first."""
        sessions = [one for one in view.sessions if one.context.status in _MEASURABLE]
        sessions.sort(key=lambda one: self._measured_at.get(one.session_id, 0.0))
        for start in range(0, len(sessions), AT_ONCE):
            asked = sessions[start : start + AT_ONCE]
            await asyncio.gather(*(self._measure_one(view, session) for session in asked))

    async def _measure_one(self, view: ServiceView, session: Session) -> None:
        with contextlib.suppress(SessionError):  # it has never begun
            metrics = await session.metrics()
            if session in view.sessions:  # else it has told its last
                self.ledger.update(session.session_id, tally_of(session.plan, metrics))
                self._measured_at[session.session_id] = time.monotonic()
                self._remember_nodes(session, metrics)

    def _remember_nodes(self, session: Session, metrics: SessionMetrics) -> None:
        for node_id, node in metrics.nodes.items():
            if node.executor is ExecutorType.MULTIPROCESS:
                self._node_types[node.pid] = session.plan.node(node_id).node_type

    async def _look_at_processes(self, view: ServiceView) -> None:
        loop = asyncio.get_running_loop()
        known = {**self._node_types, **view.hosts.warm.processes}
        self._seen = await loop.run_in_executor(self._thread, look, known)
        there = {one.pid for one in self._seen}
        self._node_types = {pid: kind for pid, kind in self._node_types.items() if pid in there}
        for one in self._seen:
            if one.kind not in ("node", "host"):  # those tell what they used for their sessions
                tally = Tally()
                tally.counters[f.PROCESS_CPU, (one.kind, "")] = one.cpu_s
                self.ledger.update((one.pid, one.started), tally)
        self._forget_dead(self._seen)

    def _forget_dead(self, seen: Sequence[Seen]) -> None:
        alive = {(one.pid, one.started) for one in seen}
        for source in [one for one in self.ledger.sources if isinstance(one, tuple)]:
            if source not in alive:
                self.ledger.forget(source)

    def _gauges(self) -> Iterator[tuple[Place, float]]:
        yield (f.BUILD, (__version__,)), 1.0
        for method, count in self._open_calls.items():
            yield (f.CALLS_OPEN, (method,)), count
        processes: Counter[Place] = Counter()
        for one in self._seen:
            processes[f.PROCESSES, (one.kind, one.node_type)] += 1
            processes[f.PROCESS_MEMORY, (one.kind, one.node_type)] += one.memory_bytes
        yield from processes.items()
        if self._view is not None:
            yield from _standing(self._view)


def _standing(view: ServiceView) -> Iterator[tuple[Place, float]]:
    """How things stand with a service that need not be asked."""
    states = Counter(session.context.status for session in view.sessions)
    for status in SessionStatus:
        yield (f.SESSIONS, (status.lower(),)), states[status]
    yield (f.BLANK_HOSTS, ()), view.hosts.blank
    for node_type, count in view.hosts.warm.ready.items():
        yield (f.WARM_NODES, (node_type,)), count
    for one in view.budget.allowances():
        limit, reserved = _budget_families(one.resource)
        labels = (one.resource.removesuffix(_BYTES),)
        yield (limit, labels), one.limit
        yield (reserved, labels), one.limit - one.free


def _budget_families(resource: str) -> tuple[Family, Family]:
    if resource.endswith(_BYTES):
        return f.BUDGET_LIMIT_BYTES, f.BUDGET_RESERVED_BYTES
    return f.BUDGET_LIMIT, f.BUDGET_RESERVED
