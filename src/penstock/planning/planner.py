"""From a manifest to its plan, or to every fault that it has. Starts nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from penstock.data import ExecutorType
from penstock.errors import Fault, ManifestError
from penstock.manifest import (
    Connection,
    Draft,
    Manifest,
    ManifestConfiguration,
    Settings,
    Source,
    configure,
    path_of,
    read_draft,
)
from penstock.nodes import Catalogue, NodeType
from penstock.nodes.builtin.extras import missing_extra
from penstock.planning.graph import predecessors, stages
from penstock.planning.joins import accepted
from penstock.planning.plan import Edge, ExecutionStage, NodeAssignment, NodeExecutionPlan
from penstock.planning.registry import ExecutorRegistry, NodeExecutorAssignment
from penstock.planning.rules import Examined, examine


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found: the manifest and the plan where there are any, and what is wrong.

    ``manifest`` is None where it has a structural fault, ``plan`` where it has any.
    """

    manifest: Manifest | None
    plan: NodeExecutionPlan | None
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]

    @property
    def ok(self) -> bool:
        """Whether the manifest can run."""
        return not self.faults


@dataclass(frozen=True, slots=True)
class _Circumstances:
    """What a manifest is planned against, besides the catalogue."""

    registry: ExecutorRegistry
    settings: Settings
    trusted: bool
    durations: Mapping[str, float]


def make_plan(
    manifest: Manifest,
    catalogue: Catalogue,
    settings: Settings,
    *,
    trusted: bool = True,
    registry: ExecutorRegistry | None = None,
    durations: Mapping[str, float] | None = None,
) -> NodeExecutionPlan:
    """The plan of a manifest.

    Without ``registry``, that of ``settings`` is made. ``durations`` has the measured time of
    node types, in milliseconds. ``trusted``: the manifest may name any Python by its path.
    Raises ``ManifestError`` with every fault at once.
    """
    circumstances = _Circumstances(
        registry or ExecutorRegistry.from_settings(settings), settings, trusted, durations or {}
    )
    plan, faults = _planned(Draft.of(manifest), catalogue, circumstances)
    if plan is None:
        raise ManifestError(faults)
    return plan


def check_manifest(
    source: Source | Manifest,
    catalogue: Catalogue,
    settings: Settings,
    *,
    trusted: bool = True,
) -> Report:
    """One report of everything wrong with a manifest, structure and meaning together.

    Warnings are of what has no effect, and, of a manifest in which nothing is wrong, of what isn't
    installed.
    """
    try:
        draft = read_draft(source)
    except ManifestError as exc:
        return Report(None, None, exc.faults, ())
    registry = ExecutorRegistry.from_settings(settings)
    plan, faults = _planned(draft, catalogue, _Circumstances(registry, settings, trusted, {}))
    lacking = () if plan is None else _lacking(draft, plan)
    return Report(draft.manifest, plan, tuple(faults), (*draft.warnings, *lacking))


def _planned(
    draft: Draft, catalogue: Catalogue, circumstances: _Circumstances
) -> tuple[NodeExecutionPlan | None, list[Fault]]:
    examined = examine(draft, catalogue)
    configuration, misconfigured = configure(
        draft, circumstances.settings, trusted=circumstances.trusted
    )
    assignments = [
        circumstances.registry.assign(node_id, node_type, configuration.executor_overrides)
        for node_id, node_type in examined.types.items()
    ]
    faults = [
        *draft.faults,
        *examined.faults,
        *misconfigured,
        *_wasm_faults(assignments, examined),
        *_process_faults(assignments, draft, configuration),
        *_memory_faults(assignments, configuration, circumstances.settings),
        *_capacity_faults(examined, configuration),
    ]
    if faults:
        return None, faults
    return _laid_out(examined, assignments, configuration, circumstances.durations), []


def _lacking(draft: Draft, plan: NodeExecutionPlan) -> Iterator[Fault]:
    """A warning for each node that can't be set up where it is to run, as far as one can tell.

    What another interpreter has isn't known.
    """
    is_own = plan.configuration.python_executable == Path(sys.executable)
    for index, spec in draft.nodes:
        node = plan.node(spec.id)
        missing = missing_extra(node.provider)
        if missing is not None and (is_own or node.executor is ExecutorType.NATIVE):
            path = path_of(("nodes", index, "node_type"))
            yield Fault(path, str(missing), expected=missing.package)


def _wasm_faults(assignments: list[NodeExecutorAssignment], examined: Examined) -> list[Fault]:
    return [
        Fault(
            path_of(("nodes", examined.nodes[one.node_id][0])),
            f"{one.node_id!r} needs the wasm executor ({one.assignment_reason}), "
            "which is not available in this build",
            found=str(ExecutorType.WASM),
            expected=f"{ExecutorType.NATIVE} or {ExecutorType.MULTIPROCESS}",
        )
        for one in assignments
        if one.executor_type is ExecutorType.WASM
    ]


def _process_faults(
    assignments: list[NodeExecutorAssignment], draft: Draft, configuration: ManifestConfiguration
) -> list[Fault]:
    needed = sum(one.executor_type is ExecutorType.MULTIPROCESS for one in assignments)
    limit = configuration.max_processes_per_session
    if needed <= limit:
        return []
    name = "max_processes_per_session"
    written = name in draft.metadata.multiprocess.model_fields_set
    path = path_of(("metadata", "multiprocess", name)) if written else "nodes"
    message = f"the nodes need {needed} processes, and {limit} are allowed ({name})"
    return [Fault(path, message, found=str(needed), expected=f"at most {limit}")]


def _memory_faults(
    assignments: list[NodeExecutorAssignment],
    configuration: ManifestConfiguration,
    settings: Settings,
) -> list[Fault]:
    """Every process that sends has room for two of the largest messages, or nothing moves."""
    processes = sum(one.executor_type is ExecutorType.MULTIPROCESS for one in assignments)
    if not processes:
        return []
    largest, limit = configuration.max_message_bytes, settings.limits.max_shared_memory_bytes
    senders = processes + 1  # the session's own process sends the inputs
    needed = 2 * largest * senders
    if needed <= limit:
        return []
    message = (
        f"two messages of {largest} bytes for each of {senders} processes are {needed} bytes of "
        f"shared memory, and {limit} are allowed (max_shared_memory_bytes)"
    )
    path = path_of(("metadata", "multiprocess", "max_message_bytes"))
    expected = f"at most {limit // (2 * senders)}"
    return [Fault(path, message, found=str(largest), expected=expected)]


def _capacity_faults(examined: Examined, configuration: ManifestConfiguration) -> list[Fault]:
    """A connection may have less room than the session's lanes, not more."""
    limit = configuration.channel_capacity
    return [
        Fault(
            path_of(("connections", index, "channel_capacity")),
            f"must not exceed the session's channel_capacity {limit}, "
            f"got {connection.channel_capacity}",
            found=str(connection.channel_capacity),
            expected=f"at most {limit}",
        )
        for index, connection in examined.connections
        if connection.channel_capacity is not None and connection.channel_capacity > limit
    ]


def _laid_out(
    examined: Examined,
    assignments: list[NodeExecutorAssignment],
    configuration: ManifestConfiguration,
    durations: Mapping[str, float],
) -> NodeExecutionPlan:
    """The plan of a manifest in which nothing is wrong."""
    executors = {one.node_id: one.executor_type for one in assignments}
    levels = stages(examined.graph)
    plan = NodeExecutionPlan(
        stages=tuple(
            ExecutionStage(
                tuple(_assigned(node_id, examined, executors[node_id]) for node_id in level), index
            )
            for index, level in enumerate(levels)
        ),
        dependency_graph=MappingProxyType(predecessors(examined.graph)),
        estimated_duration_ms=0,
        edges=tuple(
            _edge(connection, examined, configuration) for _, connection in examined.connections
        ),
        assignments=tuple(assignments),
        configuration=configuration,
    )
    return plan.estimated(durations) if durations else plan


def _assigned(node_id: str, examined: Examined, executor: ExecutorType) -> NodeAssignment:
    node_type = examined.types[node_id]
    return NodeAssignment(
        node_id=node_id,
        node_type=node_type.name,
        executor=executor,
        params=examined.nodes[node_id][1].params,
        provider=node_type.provider,
        accepts=node_type.accepts,
        emits=node_type.emits,
        is_source=node_type.is_source,
        is_join=node_type.joins is not None,
        chunk_samples=_chunk_samples(node_type, examined.nodes[node_id][1].params),
    )


def _chunk_samples(node_type: NodeType, params: Mapping[str, Any]) -> int:
    said = node_type.cls.chunk_samples
    if isinstance(said, int):
        return said
    number: int = getattr(node_type.cls.Params.model_validate(params), said)
    return number


def _edge(connection: Connection, examined: Examined, configuration: ManifestConfiguration) -> Edge:
    """The connection's own options, and the session's where it has none."""
    target = examined.types[connection.target]
    params = examined.nodes[connection.target][1].params
    taken = accepted(target, params, connection.source) or frozenset()
    backpressure = connection.enable_backpressure
    return Edge(
        source=connection.source,
        target=connection.target,
        kinds=examined.types[connection.source].emits & taken,
        capacity=connection.channel_capacity or configuration.channel_capacity,
        backpressure=configuration.enable_backpressure if backpressure is None else backpressure,
        drop_policy=connection.drop_policy or configuration.drop_policy,
    )
