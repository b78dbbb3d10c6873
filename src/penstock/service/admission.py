"""What all calls of a service share, and the sessions that they have open."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import re
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from weakref import WeakKeyDictionary

from penstock.errors import PenstockError, SessionCancelledError, VersionError
from penstock.manifest import Settings
from penstock.nodes import Catalogue
from penstock.planning import NodeExecutionPlan
from penstock.service.callers import ANYBODY, Caller, Shares
from penstock.service.course import Course
from penstock.service.endings import Endings
from penstock.service.files import Files
from penstock.service.fitting import for_sessions
from penstock.service.limits import TimeOverError
from penstock.service.observing import NOBODY
from penstock.service.opening import Opening
from penstock.service.plans import Plans
from penstock.service.readiness import Readiness
from penstock.session import (
    Budget,
    Cost,
    Durations,
    Interruption,
    NodeProgress,
    Session,
    SessionOptions,
    cost_of,
    smallest_cost,
)
from penstock.session.hosting import Hosts, prewarm_orders, reserve_prewarmed
from penstock.session.observing import Observer, ServiceView
from penstock.wire.methods import PROTOCOL
from penstock.wire.plans import encode_plan
from penstock.wire.v1 import execution_pb2 as pb
from penstock.wire.v1 import penstock_pb2 as ours

STOPPING = "the service is stopping"
LET_GO_S = 0.5
"""How long a call may wait for the room of sessions whose clients have their answer already."""
_log = logging.getLogger(__name__)
_SAID_VERSION = re.compile(r"v(\d{1,9})(\.\d{1,9}){0,9}")


class ServiceStoppingError(SessionCancelledError):
    """No session is admitted any more: the service ends."""


class Admission:
    """Opens sessions within one budget, and ends them all when the service stops.

    Each is in a host of its own: nothing of a pipeline runs in this process.
    """

    def __init__(
        self, settings: Settings, catalogue: Catalogue, observer: Observer = NOBODY
    ) -> None:
        orders = prewarm_orders(settings, catalogue)
        self.settings = settings
        self.catalogue = catalogue
        self.hosts = Hosts(settings.service.spare_hosts, orders)
        self.files = Files(settings.service.files, settings.limits.max_message_bytes)
        self.endings = Endings()
        self.opening = Opening(settings.service.connections)
        self.courses: WeakKeyDictionary[Session, Course] = WeakKeyDictionary()
        self.stopping = False
        self.refusing = False
        self._budget = Budget(settings.limits, for_sessions(settings))
        reserve_prewarmed(self._budget, orders)
        self.readiness = Readiness(self._budget, smallest_cost(hosted=True))
        self._durations = Durations()
        self.plans = Plans(settings, catalogue)
        self._observer = observer
        self._open: set[Session] = set()
        self._shares = Shares(settings.service.connections.max_sessions_per_peer)
        self._holders: dict[Session, tuple[Caller, Cost]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._answered: set[asyncio.Task[None]] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    def active_streams(self) -> int:
        """How many streams have sent something since this was asked last."""
        return sum(course.has_advanced() for course in self.courses.values())

    @contextlib.asynccontextmanager
    async def session(
        self,
        manifest: pb.PipelineManifest,
        client_version: str = "",
        caller: Caller = ANYBODY,
        *,
        on_progress: Callable[[NodeProgress], None] | None = None,
        on_interrupt: Callable[[Interruption], None] | None = None,
        max_memory_bytes: int | None = None,
    ) -> AsyncIterator[Session]:
        """A planned session, to be started; what is left of it after the block is closed.

        Whatever failed, everything of it is gone then; after what went well, or where the client's
        time is over, that takes its time without keeping the client.

        Raises ``ManifestError`` for what can't be planned, ``AccessError`` for what the
        ``caller`` may not have, ``ResourceLimitError`` where it may have no more, or for what
        can't run within ``max_memory_bytes``, ``VersionError`` for a client of another protocol
        version, ``ServiceStoppingError`` at the service's end.
        """
        self._check_admits()
        _check_version(client_version)
        plan = await self.plans.plan(manifest, caller)
        del manifest  # it is a part of the whole request
        self._check_admits()
        cost = cost_of(plan, hosted=True)
        await self._await_room(caller, cost)
        options = replace(
            self._options(plan),
            on_progress=on_progress,
            on_interrupt=on_interrupt,
            max_memory_bytes=max_memory_bytes,
        )
        try:
            session = Session(plan, options)
            self._note(session, caller, cost)
        except BaseException:
            self._observer.session_refused(options.session_id or "")
            raise
        try:
            yield session
        except TimeOverError as exc:
            self._close_behind(session, exc)
            raise
        except BaseException as exc:
            await asyncio.shield(self._begin_closing(session, exc))
            raise
        self._close_behind(session)

    async def _await_room(self, caller: Caller, cost: Cost) -> None:
        """Where there is no room, wait for that of sessions that have been answered, a while."""
        shortage = self._budget.shortage(cost) or self._shares.shortage(caller, cost)
        if shortage is not None and self._answered:
            await asyncio.wait(self._answered, timeout=LET_GO_S)
            self._check_admits()

    def _check_admits(self) -> None:
        if self.refusing:
            raise ServiceStoppingError(STOPPING)

    def _options(self, plan: NodeExecutionPlan) -> SessionOptions:
        """Of a new session, but for what its client wishes."""
        session_id = uuid.uuid4().hex
        return SessionOptions(
            settings=self.settings,
            session_id=session_id,
            budget=self._budget,
            durations=self._durations,
            hosts=self.hosts,
            on_status=functools.partial(self.readiness.session, session_id),
            on_spans=self._observer.spans_of(session_id, plan),
        )

    def _note(self, session: Session, caller: Caller, cost: Cost) -> None:
        """A session is its caller's from now on, where that may have it, until it is closed."""
        self._shares.take(caller, cost)
        self._holders[session] = (caller, cost)
        self._open.add(session)
        self._empty.clear()

    def running(self, session_id: str) -> Session | None:
        """The session of that ID, from its start until it is gone."""
        started = (session for session in self._open if session.is_started)
        return next((session for session in started if session.session_id == session_id), None)

    def _close_behind(self, session: Session, error: PenstockError | None = None) -> None:
        """Have a session end that has nothing more to say to its client."""
        answered = self._begin_closing(session, error)
        self._answered.add(answered)
        answered.add_done_callback(self._answered.discard)

    def _begin_closing(
        self, session: Session, error: BaseException | None = None
    ) -> asyncio.Task[None]:
        """In a task of its own: a call that is cancelled meanwhile leaves nothing half closed."""
        closing = asyncio.create_task(self._close(session, error))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        return closing

    async def _close(self, session: Session, error: BaseException | None = None) -> None:
        try:
            if isinstance(error, PenstockError):
                await session.fail(error)
            await session.aclose()
            if session.is_started:
                self._observer.session_ended(session, await session.metrics())
            else:
                self._observer.session_refused(session.session_id)
        finally:
            self._open.discard(session)
            holder, cost = self._holders.pop(session)
            self._shares.give_back(holder, cost)
            if not self._open:
                self._empty.set()
            if session.is_started:
                self.endings.keep(session, holder, stopping=self.stopping)

    @property
    def view(self) -> ServiceView:
        """What an observer may look at."""
        return ServiceView(self._open, self._budget, self.hosts)

    async def plan(
        self, manifest: pb.PipelineManifest, client_version: str, caller: Caller
    ) -> ours.Plan:
        """What a session of a manifest would be and cost; raises as ``session`` does."""
        _check_version(client_version)
        plan = await self.plans.plan(manifest, caller)
        plan = plan.estimated(self._durations.means_ms())
        cost = cost_of(plan, hosted=True)
        return encode_plan(plan, cost, self._budget.allowances(), self._budget.shortage(cost))

    def may_see(self, caller: Caller, session_id: str) -> bool:
        """Whether a session is the caller's own, or it may see all.

        Who has shown no token may where none are in use; where they are, he sees none.
        """
        if caller.rights is None and self.settings.service.tokens is not None:
            return False
        return caller.sees_all or any(
            caller.sees(holder)
            for session, (holder, _) in self._holders.items()
            if session.session_id == session_id
        )

    async def drain(self, limit_s: float) -> None:
        """Admit no session any more, and let those that run finish within ``limit_s``."""
        self.refusing = True
        self.readiness.drain()
        if not self._open:
            return
        _log.info("stopping: open sessions (%d) have %g s to finish", len(self._open), limit_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._empty.wait()

    async def stop(self) -> None:
        """End every open session, admit no more, and wait until the calls have let go."""
        self.refusing = self.stopping = True
        self.readiness.drain()
        await asyncio.gather(*(session.cancel(STOPPING) for session in self._open))
        await self._empty.wait()


def compatible(client_version: str) -> bool:
    """Whether a client can be served; one that doesn't say ``v`` and a number can."""
    said = _SAID_VERSION.fullmatch(client_version)
    return said is None or f"v{int(said[1])}" == PROTOCOL


def _check_version(client_version: str) -> None:
    if not compatible(client_version):
        raise VersionError(found=client_version, expected=PROTOCOL)
