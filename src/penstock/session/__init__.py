"""Sessions: one isolated run of a pipeline, with its context, status, budget and metrics."""

from penstock.session.budget import Budget, Cost
from penstock.session.context import (
    ExecutorDataFlow,
    SessionExecutionContext,
    SessionExecutorBinding,
)
from penstock.session.durations import Durations
from penstock.session.metrics import NodeMetrics, SessionMetrics
from penstock.session.options import NodeOutput, NodeProgress, Output, SessionOptions
from penstock.session.session import Session
from penstock.session.stall import find_ring
from penstock.session.status import SESSION_TABLE, SessionEvent, SessionStatus

__all__ = [
    "SESSION_TABLE",
    "Budget",
    "Cost",
    "Durations",
    "ExecutorDataFlow",
    "NodeMetrics",
    "NodeOutput",
    "NodeProgress",
    "Output",
    "Session",
    "SessionEvent",
    "SessionExecutionContext",
    "SessionExecutorBinding",
    "SessionMetrics",
    "SessionOptions",
    "SessionStatus",
    "find_ring",
]
