"""Sessions: one isolated run of a pipeline, with its context, status, budget and metrics."""

from penstock.executors.node_state import NodeState
from penstock.session.budget import Allowance, Budget
from penstock.session.bus import (
    DEADLINE_S,
    Attachment,
    Intercept,
    InterceptRequest,
    Tap,
    TapEvent,
)
from penstock.session.context import (
    ExecutorDataFlow,
    SessionExecutionContext,
    SessionExecutorBinding,
)
from penstock.session.cost import Cost, cost_of, smallest_cost
from penstock.session.durations import Durations
from penstock.session.metrics import (
    HostMetrics,
    LaneMetrics,
    NodeMetrics,
    SessionMetrics,
    SessionTotals,
)
from penstock.session.options import (
    Interruption,
    NodeOutput,
    NodeProgress,
    NodeSpans,
    SessionOptions,
)
from penstock.session.output import Output
from penstock.session.session import Session
from penstock.session.stall import Blocking, find_ring, held_up_by
from penstock.session.status import SESSION_TABLE, SessionEvent, SessionStatus

__all__ = [
    "DEADLINE_S",
    "SESSION_TABLE",
    "Allowance",
    "Attachment",
    "Blocking",
    "Budget",
    "Cost",
    "Durations",
    "ExecutorDataFlow",
    "HostMetrics",
    "Intercept",
    "InterceptRequest",
    "Interruption",
    "LaneMetrics",
    "NodeMetrics",
    "NodeOutput",
    "NodeProgress",
    "NodeSpans",
    "NodeState",
    "Output",
    "Session",
    "SessionEvent",
    "SessionExecutionContext",
    "SessionExecutorBinding",
    "SessionMetrics",
    "SessionOptions",
    "SessionStatus",
    "SessionTotals",
    "Tap",
    "TapEvent",
    "cost_of",
    "find_ring",
    "held_up_by",
    "smallest_cost",
]
