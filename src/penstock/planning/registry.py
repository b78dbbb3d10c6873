"""Which executor a node type runs on, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from types import MappingProxyType

from penstock.data import ExecutorType
from penstock.errors import ConfigurationError, Fault
from penstock.manifest import PatternSettings, Settings, path_of
from penstock.nodes import NodeType
from penstock.planning.patterns import PatternRule
from penstock.planning.reasons import (
    AssignmentReason,
    Default,
    ExplicitMapping,
    MappingSource,
    PatternMatch,
)


@dataclass(frozen=True, slots=True)
class NodeExecutorAssignment:
    """A node's executor, for as long as its session lives."""

    node_id: str
    node_type: str
    executor_type: ExecutorType
    assignment_reason: AssignmentReason


@dataclass(frozen=True, slots=True)
class ExecutorRegistry:
    """Explicit mappings, then pattern rules, then what a type declares, then the default.

    Immutable: ``node_type_mappings`` is copied, and ``pattern_rules`` are kept highest
    priority first. Raises ``ConfigurationError`` with every fault: an empty node type, an
    executor that isn't one, priorities that aren't unique.
    """

    node_type_mappings: Mapping[str, ExecutorType] = field(default_factory=dict)
    pattern_rules: tuple[PatternRule, ...] = ()
    default_executor: ExecutorType = ExecutorType.MULTIPROCESS
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        rules = tuple(sorted(self.pattern_rules, key=lambda rule: -rule.priority))
        faults = [*_mapping_faults(self.node_type_mappings), *_priority_faults(rules)]
        if not _is_executor(self.default_executor):
            message = f"must be an executor, got {self.default_executor!r}"
            faults.append(Fault("executors.default", message))
        if faults:
            raise ConfigurationError(faults)
        mappings = MappingProxyType(dict(self.node_type_mappings))
        object.__setattr__(self, "node_type_mappings", mappings)
        object.__setattr__(self, "pattern_rules", rules)

    @classmethod
    def from_pairs(
        cls,
        mappings: Iterable[tuple[str, ExecutorType]],
        pattern_rules: Iterable[PatternRule] = (),
        default_executor: ExecutorType = ExecutorType.MULTIPROCESS,
    ) -> ExecutorRegistry:
        """A registry of mappings that come one by one; a type mapped twice is a fault."""
        pairs = list(mappings)
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ConfigurationError(
                [
                    Fault(path_of(("executors", "mappings", name)), "is mapped more than once")
                    for name in twice
                ]
            )
        return cls(found, tuple(pattern_rules), default_executor)

    @classmethod
    def from_settings(cls, settings: Settings) -> ExecutorRegistry:
        """The registry that ``[executors]`` describes; all its faults at once."""
        executors = settings.executors
        rules: list[PatternRule] = []
        faults: list[Fault] = []
        for index, written in enumerate(executors.patterns):
            try:
                rules.append(_rule(written))
            except ConfigurationError as exc:
                at = f"executors.patterns[{index}]"
                faults += [replace(fault, path=f"{at}.{fault.path}") for fault in exc.faults]
        if faults:
            ordered = sorted(rules, key=lambda rule: -rule.priority)
            raise ConfigurationError([*faults, *_priority_faults(ordered)])
        return cls(executors.mappings, tuple(rules), executors.default)

    def assign(
        self, node_id: str, node_type: NodeType, overrides: Mapping[str, ExecutorType]
    ) -> NodeExecutorAssignment:
        """The node's executor; ``overrides`` are the manifest's, by node ID or node type."""
        executor, reason = self._choose(node_id, node_type, overrides)
        return NodeExecutorAssignment(node_id, node_type.name, executor, reason)

    def _choose(
        self, node_id: str, node_type: NodeType, overrides: Mapping[str, ExecutorType]
    ) -> tuple[ExecutorType, AssignmentReason]:
        for key in (node_id, node_type.name):
            if key in overrides:
                return overrides[key], ExplicitMapping(MappingSource.MANIFEST)
        if node_type.name in self.node_type_mappings:
            mapped = self.node_type_mappings[node_type.name]
            return mapped, ExplicitMapping(MappingSource.CONFIGURATION)
        for rule in self.pattern_rules:
            if rule.matches(node_type.name):
                return rule.executor_type, PatternMatch(rule.pattern)
        if node_type.executor is not None:
            return node_type.executor, ExplicitMapping(MappingSource.DECLARATION)
        return self.default_executor, Default()


def _rule(written: PatternSettings) -> PatternRule:
    if written.suffix is not None:
        return PatternRule.suffix(written.suffix, written.executor, written.priority)
    return PatternRule(written.pattern or "", written.executor, written.priority)


def _is_executor(value: object) -> bool:
    return isinstance(value, ExecutorType)


def _mapping_faults(mappings: Mapping[str, ExecutorType]) -> Iterable[Fault]:
    for name, executor in mappings.items():
        path = path_of(("executors", "mappings", name))
        if not name:
            yield Fault("executors.mappings", "has an empty node type")
        elif not _is_executor(executor):
            yield Fault(path, f"must be an executor, got {executor!r}", found=repr(executor))


def _priority_faults(rules: Iterable[PatternRule]) -> Iterable[Fault]:
    for one, other in pairwise(rules):
        if one.priority == other.priority:
            message = (
                f"{one.pattern!r} and {other.pattern!r} have the same priority, "
                f"{one.priority}; priorities must be unique"
            )
            yield Fault("executors.patterns", message, found=str(one.priority))
