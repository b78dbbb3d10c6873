"""Runs one node by itself, in the process of the test."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import fields, replace
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from penstock.data import Message, Value
from penstock.errors import InputError
from penstock.nodes import Node, NodeContext, NodeParams
from penstock.nodes.catalogue import NodeType, describe


class _TestHost:
    """Plain memory, and nobody who listens."""

    def progress(self, fraction: float, message: str) -> None:
        """Dropped: a test has no session to tell."""

    def allocate(self, nbytes: int) -> NDArray[np.uint8]:
        return np.empty(nbytes, dtype=np.uint8)

    def stopping(self) -> bool:
        return False


async def run_node(
    cls: type[Node],
    inputs: Iterable[Value] = (),
    params: NodeParams | Mapping[str, Any] | None = None,
) -> list[Value]:
    """Everything that a node makes of ``inputs``, in order, with its whole life around it.

    As in a session: parameters are validated, inputs are read-only views (nothing is copied)
    with ``ctx.arrival.sequence`` counting from 0, ``flush`` follows the last, and
    ``teardown`` is called even where something raised. A node with ``produce`` is run to its
    end. The node runs right here, in the caller's process and event loop.

    What the node raises passes through. Raises ``pydantic.ValidationError`` for parameters,
    ``InputError`` for an input of a kind that the node doesn't accept, ``TypeError`` for an
    output that is no value, and ``ConfigurationError`` for a class that is no node type.
    """
    kind = describe(cls)
    chosen = params if isinstance(params, NodeParams) else cls.Params.model_validate(params or {})
    context = NodeContext(kind.name, "test", _TestHost())
    running = cls(chosen, context)
    try:
        await _values(running.setup())
        if kind.is_source:
            return await _values(_method(running, "produce")())
        outputs: list[Value] = []
        for sequence, value in enumerate(inputs):
            context.arrival = Message(_accepted(kind, value), sequence)
            outputs += await _values(_method(running, "process")(context.arrival.value))
        context.arrival = None
        return outputs + await _values(running.flush())
    finally:
        await _values(running.teardown())


def _method(running: Node, name: str) -> Any:
    return getattr(running, name)


def _accepted(kind: NodeType, value: Value) -> Value:
    if value.kind not in kind.accepts:
        expected = ", ".join(sorted(kind.accepts))
        raise InputError(f"{kind.name} accepts {expected}; got {value.kind}")
    arrays: dict[str, Any] = {
        field.name: _read_only(found)
        for field in fields(value)
        if isinstance(found := getattr(value, field.name), np.ndarray)
    }
    return replace(value, **arrays) if arrays else value


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view


async def _values(result: Any) -> list[Value]:
    """What a method gave, in any of its forms, as a list."""
    if inspect.isawaitable(result):
        result = await result
    if result is None:
        return []
    if isinstance(result, AsyncIterator):
        return [_checked(item) async for item in result]
    if isinstance(result, get_args(Value)) or not isinstance(result, Iterable):
        return [_checked(result)]
    return [_checked(item) for item in result]


def _checked(item: Any) -> Value:
    if not isinstance(item, get_args(Value)):
        known = ", ".join(cls.__name__ for cls in get_args(Value))
        raise TypeError(f"a node gives {known}; got {type(item).__name__}")
    value: Value = item
    return value
