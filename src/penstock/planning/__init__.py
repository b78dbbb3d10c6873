"""Plans: which executor runs each node, and why, in which order. Pure; starts nothing."""

from penstock.planning.patterns import PatternRule
from penstock.planning.plan import Edge, ExecutionStage, NodeAssignment, NodeExecutionPlan
from penstock.planning.planner import Report, check_manifest, make_plan
from penstock.planning.reasons import (
    AssignmentReason,
    Default,
    ExplicitMapping,
    MappingSource,
    PatternMatch,
)
from penstock.planning.registry import ExecutorRegistry, NodeExecutorAssignment

__all__ = [
    "AssignmentReason",
    "Default",
    "Edge",
    "ExecutionStage",
    "ExecutorRegistry",
    "ExplicitMapping",
    "MappingSource",
    "NodeAssignment",
    "NodeExecutionPlan",
    "NodeExecutorAssignment",
    "PatternMatch",
    "PatternRule",
    "Report",
    "check_manifest",
    "make_plan",
]
