"""What a session will run: nodes with their executors, in stages, and the edges between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from penstock.data import CLIENT, ExecutorType, Kind
from penstock.manifest import DropPolicy, ManifestConfiguration
from penstock.planning.registry import NodeExecutorAssignment


@dataclass(frozen=True, slots=True)
class NodeAssignment:
    """A node with everything that its executor needs to make it.

    ``params`` are as written, and valid; ``provider`` is where a process finds the class
    (``module:Class`` or ``/path/file.py:Class``); ``is_source`` says that it produces and
    takes no inputs, ``is_join`` that it needs one of each connection. ``chunk_samples`` are the
    samples of audio per channel that it works on at a time, 0 where it doesn't say.
    """

    node_id: str
    node_type: str
    executor: ExecutorType
    params: Mapping[str, Any]
    provider: str
    accepts: frozenset[Kind]
    emits: frozenset[Kind]
    is_source: bool
    is_join: bool = False
    chunk_samples: int = 0


@dataclass(frozen=True, slots=True)
class ExecutionStage:
    """Nodes that depend on earlier stages only."""

    nodes: tuple[NodeAssignment, ...]
    stage_index: int


@dataclass(frozen=True, slots=True)
class Edge:
    """A connection as it will be laid: ``kinds`` is what crosses it, the rest is filtered.

    ``capacity`` counts messages; without ``backpressure`` a full edge keeps the messages
    that ``drop_policy`` says.
    """

    source: str
    target: str
    kinds: frozenset[Kind]
    capacity: int
    backpressure: bool
    drop_policy: DropPolicy


@dataclass(frozen=True, slots=True)
class NodeExecutionPlan:
    """A valid pipeline: at least one node, no cycle, every edge able to carry something.

    ``dependency_graph`` maps a node ID to the IDs that it waits for; ``edges`` are in the
    manifest's order; ``estimated_duration_ms`` is the critical path over measured times.
    """

    stages: tuple[ExecutionStage, ...]
    dependency_graph: Mapping[str, tuple[str, ...]]
    estimated_duration_ms: int
    edges: tuple[Edge, ...]
    assignments: tuple[NodeExecutorAssignment, ...]
    configuration: ManifestConfiguration
    sources: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """The nodes that clients send to: they take inputs, and no edge leads to them."""
    _nodes: Mapping[str, NodeAssignment] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        nodes = {node.node_id: node for stage in self.stages for node in stage.nodes}
        object.__setattr__(self, "_nodes", MappingProxyType(nodes))
        sources = (
            node_id
            for node_id, node in nodes.items()
            if not node.is_source and not self.dependency_graph[node_id]
        )
        object.__setattr__(self, "sources", tuple(sources))

    @property
    def order(self) -> tuple[str, ...]:
        """All node IDs, every one after those that it waits for."""
        return tuple(self._nodes)

    @property
    def slots(self) -> Mapping[str, int]:
        """The places of the client and of all nodes in a page of epochs."""
        return {name: slot for slot, name in enumerate((CLIENT, *self._nodes))}

    def downstream(self, node_id: str) -> tuple[str, ...]:
        """The nodes that something of a node, or of the ``CLIENT``, can reach, in their order."""
        reached = {node_id}
        fed = frozenset(self.sources) if node_id == CLIENT else frozenset[str]()
        for name in self._nodes:
            if name in fed or not reached.isdisjoint(self.dependency_graph[name]):
                reached.add(name)
        return tuple(name for name in self._nodes if name in reached and name != node_id)

    @property
    def nodes(self) -> tuple[NodeAssignment, ...]:
        """All nodes, in that order."""
        return tuple(self._nodes.values())

    @property
    def chunk_samples(self) -> int:
        """The samples per channel that each of the sources works on at a time; 0: any number."""
        said = {self._nodes[node_id].chunk_samples for node_id in self.sources}
        return said.pop() if len(said) == 1 else 0

    @property
    def producers(self) -> tuple[str, ...]:
        """The nodes that produce on their own."""
        return tuple(node_id for node_id, node in self._nodes.items() if node.is_source)

    @property
    def sinks(self) -> tuple[str, ...]:
        """The nodes whose outputs leave the pipeline: no edge leads from them."""
        feeding = {edge.source for edge in self.edges}
        return tuple(node_id for node_id in self._nodes if node_id not in feeding)

    @property
    def joins(self) -> frozenset[str]:
        """The nodes that need an input of each of their edges at a time."""
        return frozenset(node_id for node_id, node in self._nodes.items() if node.is_join)

    @property
    def executors(self) -> frozenset[ExecutorType]:
        """The executors that some node needs."""
        return frozenset(node.executor for node in self._nodes.values())

    def estimated(self, durations: Mapping[str, float]) -> NodeExecutionPlan:
        """This plan with its duration by the measured times of node types, in milliseconds."""
        until: dict[str, float] = {}
        for node_id, node in self._nodes.items():
            before = max((until[name] for name in self.dependency_graph[node_id]), default=0.0)
            until[node_id] = before + durations.get(node.node_type, 0.0)
        return replace(self, estimated_duration_ms=round(max(until.values())))

    def node(self, node_id: str) -> NodeAssignment:
        """The node of that ID; ``KeyError`` where there is none."""
        return self._nodes[node_id]
