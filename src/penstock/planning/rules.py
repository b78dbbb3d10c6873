"""What has to hold between a manifest's parts, and between them and the catalogue.

Each rule adds its faults to a list and goes on with what is right, so that one fault hides
no other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import ValidationError

from penstock.errors import ConfigurationError, Fault
from penstock.manifest import Closest, Connection, Draft, Location, NodeSpec, faults_of, path_of
from penstock.nodes import Catalogue, NodeType
from penstock.nodes.params import NODE_ID
from penstock.planning.graph import cycles
from penstock.planning.joins import JoinPlace, accepted, join_faults

_OWN_NODES = "; nodes of your own are offered with --nodes or SessionOptions(nodes=(…,))"


@dataclass(frozen=True, slots=True)
class Examined:
    """What is right in a draft: nodes by ID, their types, connections, and the graph.

    ``faults`` is what is wrong. Where it is empty, every node has a type and every
    connection two ends.
    """

    nodes: dict[str, tuple[int, NodeSpec]] = field(default_factory=dict)
    types: dict[str, NodeType] = field(default_factory=dict)
    connections: list[tuple[int, Connection]] = field(default_factory=list)
    graph: dict[str, list[str]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def examine(draft: Draft, catalogue: Catalogue) -> Examined:
    """Hold a draft against every rule that needs no configuration."""
    examined = Examined()
    closest = Closest()
    if not draft.nodes and not draft.unread and draft.complete:
        examined.faults.append(Fault("nodes", "must have at least one node", "an empty array"))
    for index, spec in draft.nodes:
        _place_node(index, spec, examined)
        _find_type(index, spec, catalogue, examined, closest)
    _connect(draft, examined, closest)
    _refuse_cycles(examined)
    if draft.complete:
        _check_named_nodes(examined, closest)
    for index, connection in examined.connections:
        _match_kinds(index, connection, examined)
    if draft.complete and len(examined.connections) == len(draft.connections):
        _check_joins(examined, closest)
    return examined


def _place_node(index: int, spec: NodeSpec, examined: Examined) -> None:
    first = examined.nodes.setdefault(spec.id, (index, spec))
    examined.graph.setdefault(spec.id, [])
    if first[0] != index:
        message = f"{spec.id!r} is the ID of nodes[{first[0]}] already"
        examined.faults.append(
            Fault(path_of(("nodes", index, "id")), message, spec.id, "an ID of its own")
        )


def _find_type(
    index: int, spec: NodeSpec, catalogue: Catalogue, examined: Examined, closest: Closest
) -> None:
    path = path_of(("nodes", index, "node_type"))
    name = spec.node_type
    if name not in catalogue:
        near = closest(name, catalogue.names())
        message = f"no node type is called {name[:128]!r}{'' if near else _OWN_NODES}"
        examined.faults.append(Fault(path, message, name[:128], "a known node type", near))
        return
    try:
        node_type = catalogue.get(name)
    except ConfigurationError as exc:
        examined.faults.append(Fault(path, f"node type {name!r} can't be loaded: {exc}", name))
        return
    examined.types.setdefault(spec.id, node_type)
    examined.faults.extend(_params_faults(index, spec, node_type, closest))


def _params_faults(
    index: int, spec: NodeSpec, node_type: NodeType, closest: Closest
) -> list[Fault]:
    params = node_type.cls.Params
    at = ("nodes", index, "params")
    try:
        params.model_validate(spec.params)
    except ValidationError as exc:
        return list(faults_of(exc, params, at, closest))
    except Exception as exc:  # noqa: BLE001  # a validator is its node author's code
        message = f"{params.__qualname__} raised {type(exc).__name__}: {exc}"
        return [Fault(path_of(at), message)]
    return []


def _check_named_nodes(examined: Examined, closest: Closest) -> None:
    """Parameters that name a node (``NODE_ID``) name one that is there."""
    for node_id, node_type in examined.types.items():
        index, spec = examined.nodes[node_id]
        for name, declared in node_type.cls.Params.model_fields.items():
            key = name if name in spec.params else declared.alias or name
            named = spec.params.get(key)
            if NODE_ID in declared.metadata and isinstance(named, str):
                at = ("nodes", index, "params", key)
                if named not in examined.nodes:
                    examined.faults.append(_no_such_node(at, named, examined, closest))


def _no_such_node(at: Location, node_id: str, examined: Examined, closest: Closest) -> Fault:
    message = f"no node has the ID {node_id[:128]!r}"
    near = closest(node_id, examined.nodes)
    return Fault(path_of(at), message, node_id[:128], "a node's ID", near)


def _connect(draft: Draft, examined: Examined, closest: Closest) -> None:
    """Fill the graph with the connections whose ends are both there."""
    seen: dict[tuple[str, str], int] = {}
    for index, connection in draft.connections:
        known = [
            _known_end(("connections", index, key), node_id, draft, examined, closest)
            for key, node_id in (("from", connection.source), ("to", connection.target))
        ]
        ends = (connection.source, connection.target)
        first = seen.setdefault(ends, index)
        if first != index:
            message = f"connects {ends[0]!r} to {ends[1]!r}, as connections[{first}] does"
            examined.faults.append(Fault(path_of(("connections", index)), message))
        elif all(known):
            examined.connections.append((index, connection))
            examined.graph[connection.source].append(connection.target)


def _known_end(
    at: Location, node_id: str, draft: Draft, examined: Examined, closest: Closest
) -> bool:
    if node_id in examined.nodes:
        return True
    if draft.complete and node_id not in draft.unread:
        examined.faults.append(_no_such_node(at, node_id, examined, closest))
    return False


def _refuse_cycles(examined: Examined) -> None:
    places = {(c.source, c.target): index for index, c in examined.connections}
    for cycle in cycles(examined.graph):
        ring = " → ".join([*cycle, cycle[0]])
        path = path_of(("connections", places[cycle[-1], cycle[0]]))
        examined.faults.append(
            Fault(path, f"closes a cycle: {ring}", found=ring, expected="no cycle")
        )


def _match_kinds(index: int, connection: Connection, examined: Examined) -> None:
    source = examined.types.get(connection.source)
    target = examined.types.get(connection.target)
    if target is not None and target.is_source:
        path = path_of(("connections", index, "to"))
        message = f"{connection.target!r} ({target.name}) produces on its own and takes no inputs"
        examined.faults.append(Fault(path, message, found=connection.target))
    elif source is not None and target is not None:
        _match_ends(index, connection, (source, target), examined)


def _match_ends(
    index: int, connection: Connection, ends: tuple[NodeType, NodeType], examined: Examined
) -> None:
    source, target = ends
    taken = accepted(target, examined.nodes[connection.target][1].params, connection.source)
    if taken is not None and not source.emits & taken:
        emits, accepts = _kinds(source.emits), _kinds(taken)
        message = (
            f"nothing can cross: {connection.source!r} ({source.name}) emits {emits}, "
            f"{connection.target!r} ({target.name}) accepts {accepts}"
        )
        path = path_of(("connections", index))
        examined.faults.append(Fault(path, message, found=emits, expected=accepts))


def _check_joins(examined: Examined, closest: Closest) -> None:
    for node_id, node_type in examined.types.items():
        if node_type.joins is not None:
            index, spec = examined.nodes[node_id]
            feeding = {c.source: i for i, c in examined.connections if c.target == node_id}
            place = JoinPlace(index, node_id, spec.params, feeding)
            examined.faults.extend(join_faults(place, node_type, closest))


def _kinds(kinds: frozenset[str]) -> str:
    return ", ".join(sorted(kinds)) or "nothing"
