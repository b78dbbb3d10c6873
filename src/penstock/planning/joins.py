"""Which node feeds which argument of a join, and whether that is all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from penstock.data import Kind
from penstock.errors import Fault
from penstock.manifest import Closest, path_of
from penstock.nodes import JoinParams, NodeType


@dataclass(frozen=True, slots=True)
class JoinPlace:
    """A join in its manifest: its index, and what feeds it with that connection's index."""

    index: int
    node_id: str
    params: Mapping[str, Any]
    feeding: Mapping[str, int]


def accepted(node_type: NodeType, params: Mapping[str, Any], source: str) -> frozenset[Kind] | None:
    """What a node takes from ``source``; None where a join has no argument for it.

    Of a join whose parameters are wrong it is whatever it takes: that fault is told apart.
    """
    if node_type.joins is None:
        return node_type.accepts
    join = _params(node_type, params)
    return node_type.accepts if join is None else node_type.joins.accepts(join.argument(source))


def join_faults(place: JoinPlace, node_type: NodeType, closest: Closest) -> Iterator[Fault]:
    """What is wrong with how a join is fed."""
    params = _params(node_type, place.params)
    if params is None or node_type.joins is None:
        return
    shown = f"{place.node_id!r} ({node_type.name})"
    if not place.feeding:
        yield Fault(path_of(("nodes", place.index)), f"{shown} is a join, and nothing feeds it")
        return
    arguments = list(node_type.joins.named)
    fed = {source: params.argument(source) for source in place.feeding}
    for source, argument in fed.items():
        if node_type.joins.accepts(argument) is None:
            path = path_of(("connections", place.feeding[source]))
            message = f"{source!r} feeds no argument of {shown}: name it in params.inputs"
            yield Fault(path, message, source, ", ".join(arguments) or "another name")
    for argument, source in params.inputs.items():
        path = path_of(("nodes", place.index, "params", "inputs", argument))
        if node_type.joins.accepts(argument) is None:
            message = f"{node_type.name} has no argument {argument!r}"
            yield Fault(path, message, argument, ", ".join(arguments), closest(argument, arguments))
        elif source not in place.feeding:
            near = closest(source, place.feeding)
            message = f"no connection leads from {source!r} to {place.node_id!r}"
            yield Fault(path, message, source, "the ID of a node that feeds it", near)
    yield from _unfed(place, node_type, params, fed)


def _unfed(
    place: JoinPlace, node_type: NodeType, params: JoinParams, fed: Mapping[str, str]
) -> Iterator[Fault]:
    """Arguments that nothing feeds, or more than one node."""
    path = path_of(("nodes", place.index, "params", "inputs"))
    found = list(fed.values())
    named = () if node_type.joins is None else node_type.joins.named
    for argument in named:
        if argument not in found and argument not in params.inputs:
            message = f"nothing feeds the argument {argument!r} of {node_type.name}"
            yield Fault(path, message, None, "the ID of a node that is connected to it")
    for argument in dict.fromkeys(found):
        sources = [repr(source) for source, name in fed.items() if name == argument]
        if len(sources) > 1:
            yield Fault(path, f"{' and '.join(sources)} both feed the argument {argument!r}")
    if len(set(params.inputs.values())) < len(params.inputs):
        yield Fault(path, "a node can feed one argument only")


def _params(node_type: NodeType, written: Mapping[str, Any]) -> JoinParams | None:
    try:
        params = node_type.cls.Params.model_validate(written)
    except Exception:  # noqa: BLE001  # a validator is its author's code; its fault is told there
        return None
    return params if isinstance(params, JoinParams) else None
