"""Sessions: one isolated run of a pipeline, with its context, status, budget and metrics."""

from penstock.session.budget import Allowance, Budget
from penstock.session.context import (
    ExecutorDataFlow,
    SessionExecutionContext,
    SessionExecutorBinding,
)
from penstock.session.cost import Cost, cost_of, smallest_cost
from penstock.session.durations import Durations
from penstock.session.metrics import HostMetrics, LaneMetrics, NodeMetrics, SessionMetrics
from penstock.session.options import (
    Interruption,
    NodeOutput,
    NodeProgress,
    NodeSpans,
    Output,
    SessionOptions,
)
from penstock.session.session import Session
from penstock.session.stall import Blocking, find_ring, held_up_by
from penstock.session.status import SESSION_TABLE, SessionEvent, SessionStatus

__all__ = [
    "SESSION_TABLE",
    "Allowance",
    "Blocking",
    "Budget",
    "Cost",
    "Durations",
    "ExecutorDataFlow",
    "HostMetrics",
    "Interruption",
    "LaneMetrics",
    "NodeMetrics",
    "NodeOutput",
    "NodeProgress",
    "NodeSpans",
    "Output",
    "Session",
    "SessionEvent",
    "SessionExecutionContext",
    "SessionExecutorBinding",
    "SessionMetrics",
    "SessionOptions",
    "SessionStatus",
    "cost_of",
    "find_ring",
    "held_up_by",
    "smallest_cost",
]
