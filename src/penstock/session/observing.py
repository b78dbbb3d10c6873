"""What a service shows of itself, and tells, to whoever watches it.

Telemetry is handed in as an ``Observer``; neither the service nor its sessions know more of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from penstock.planning import NodeExecutionPlan
from penstock.session.budget import Budget
from penstock.session.hosting.hosts import Hosts
from penstock.session.metrics import SessionMetrics
from penstock.session.options import NodeSpans
from penstock.session.session import Session

Metadata: TypeAlias = Sequence[tuple[str, str | bytes]]


@dataclass(frozen=True, slots=True)
class ServiceView:
    """What a service has at any moment: its own sets and counters, to be read only."""

    sessions: Set[Session]
    budget: Budget
    hosts: Hosts


class CallWatch(Protocol):
    """Watches one call."""

    def ended(self, code: str) -> None:
        """With the name of a gRPC status code."""


class Observer(Protocol):
    """Watches a service, on its event loop; it never keeps the service waiting."""

    def watching(self, view: ServiceView) -> AbstractAsyncContextManager[None]:
        """Watch the service for the length of the block.

        Raises ``ConfigurationError`` for what the operator wants and can't be.
        """

    def call_began(self, method: str, metadata: Metadata) -> CallWatch:
        """A call came; ``method`` is its path, or ``other``. Told in the task that serves it."""

    def spans_of(
        self, session_id: str, plan: NodeExecutionPlan
    ) -> Callable[[NodeSpans], None] | None:
        """Who wants the spans of a session, opened in the task of its call; None: nobody."""

    def session_ended(self, session: Session, metrics: SessionMetrics) -> None:
        """A session that was started is gone, with everything that it had."""

    def session_refused(self, session_id: str) -> None:
        """One whose spans were asked for was never started, and never ends."""
