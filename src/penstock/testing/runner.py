"""Runs one node by itself, in the process of the test."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.data import Kind, Message, Value, replace
from penstock.errors import InputError
from penstock.executors.calling import call_here, call_plain, each_value, is_value
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

    def turn(self) -> int:
        return 0

    def interrupt(self, node_id: str) -> None:
        """Dropped: nothing is downstream."""


async def run_node(
    cls: type[Node],
    inputs: Iterable[Value | Mapping[str, Value]] = (),
    params: NodeParams | Mapping[str, Any] | None = None,
) -> list[Value]:
    """Everything that a node makes of ``inputs``, in order, with its whole life around it.

    As in a session: parameters are validated, inputs are read-only views (nothing is copied)
    with ``ctx.arrival.sequence`` counting from 0, ``flush`` follows the last, and
    ``teardown`` is called even where something raised. A node with ``produce`` is run to its
    end. An input of a ``Join`` is a mapping: each argument of its ``process``, and its value.
    The node runs right here, in the caller's process and event loop, one input at a time.

    What the node raises passes through. Raises ``pydantic.ValidationError`` for parameters,
    ``InputError`` for an input of a kind that the node doesn't accept, ``TypeError`` for an
    output that is no value or of a kind that the node doesn't declare, and for what is no class of
    a node, and ``ConfigurationError`` for a class that is no node type.
    """
    if not (isinstance(cls, type) and issubclass(cls, Node)):
        raise TypeError(f"run_node: expected a class that is a Node, got {cls!r}")
    kind = describe(cls, cls.__qualname__)  # no other process has to find it
    chosen = params if isinstance(params, NodeParams) else cls.Params.model_validate(params or {})
    context = NodeContext(kind.name, "test", _TestHost())
    running = cls(chosen, context)
    try:
        await _call(running.setup)
        if kind.is_source:
            return await _given(kind, _method(running, "produce"))
        outputs: list[Value] = []
        for sequence, given in enumerate(inputs):
            value: Any = _taken(kind, given)
            context.arrival = Message(value, sequence)
            process = _method(running, "process")
            call = partial(process, value) if kind.joins is None else partial(process, **value)
            outputs += await _given(kind, call)
        context.arrival = None
        return outputs + await _given(kind, running.flush)
    finally:
        await _call(running.teardown)


def _method(running: Node, name: str) -> Callable[..., Any]:
    return getattr(running, name)  # type: ignore[no-any-return]  # ``describe`` saw to it


def _taken(kind: NodeType, given: Any) -> Any:
    """The input as the node gets it: a value, or, for a join, one for each argument."""
    if kind.joins is None:
        return _accepted(kind.name, kind.accepts, given)
    if not isinstance(given, Mapping):
        raise InputError(f"{kind.name} is a join: expected a mapping, got {type(given).__name__}")
    return {
        argument: _accepted(
            f"{kind.name}({argument}=…)", kind.joins.accepts(argument) or frozenset(), value
        )
        for argument, value in given.items()
    }


def _accepted(who: str, accepts: frozenset[Kind], value: Value) -> Value:
    expected = ", ".join(sorted(accepts)) or "nothing"
    if not is_value(value):
        raise InputError(f"{who} accepts {expected}; got {type(value).__name__}, which is no value")
    if value.kind not in accepts:
        raise InputError(f"{who} accepts {expected}; got {value.kind}")
    arrays: dict[str, Any] = {
        name: _read_only(found)
        for name in value.__struct_fields__
        if isinstance(found := getattr(value, name), np.ndarray)
    }
    return replace(value, **arrays) if arrays else value


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view


async def _call(method: Callable[..., Any], *args: Any) -> Any:
    """As a session does: a plain method has no event loop that would await what it returns."""
    call = call_here if inspect.iscoroutinefunction(method) else call_plain
    return await call(method, *args)


async def _given(kind: NodeType, method: Callable[..., Any], *args: Any) -> list[Value]:
    """What a method gives, in any of its forms, as a list."""
    result = await _call(method, *args)
    values = [value async for value in each_value(result, call_plain)]
    for value in values:
        if value.kind not in kind.emits:
            declared = ", ".join(sorted(kind.emits)) or "nothing"
            raise TypeError(f"{kind.name} gave {value.kind}, but declares {declared}")
    return values
