"""Calls what a node's author wrote, and tells which kind of method that is."""

from __future__ import annotations

import asyncio
import inspect
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Protocol

from penstock.data import VALUE_TYPES, Value
from penstock.errors import NodeExecutionError
from penstock.nodes import Node

VALUE_NAMES = ", ".join(sorted(kind.__name__ for kind in VALUE_TYPES))
_METHODS = ("setup", "process", "produce", "flush", "interrupt", "teardown")
END = object()
"""Stands for the value after the last."""
MAX_TRACEBACK = 64 << 10
LONGEST_TEXT = 256 << 10
"""Characters of what a node says of itself, an exception or its progress, that anybody hears."""


class NodeFault(Exception):  # never leaves the executors; the cause is the error
    """A node's method raised; ``__cause__`` is what."""

    def __init__(self, during: str) -> None:
        self.during = during
        super().__init__(during)


def describe_fault(node_id: str, during: str, cause: BaseException | None) -> NodeExecutionError:
    """What a node raised, as the session reports it: with the node's own traceback."""
    return NodeExecutionError(
        node_id,
        during=during,
        exception_type=type(cause).__name__,
        exception_message=_message(cause),
        traceback=_sendable("".join(traceback.format_exception(cause))[-MAX_TRACEBACK:]),
    )


def _message(cause: BaseException | None) -> str:
    try:
        return cut(_sendable(str(cause)))
    except Exception as exc:  # noqa: BLE001  # the author's __str__ can raise anything
        return f"(its message can't be had: {type(exc).__name__})"


def cut(text: str) -> str:
    """As much of a text as a control message should carry: its beginning and its end."""
    left_out = len(text) - LONGEST_TEXT
    if left_out <= 0:
        return text
    half = LONGEST_TEXT // 2
    return f"{text[:half]}\n[{left_out} characters left out]\n{text[-half:]}"


def _sendable(text: str) -> str:
    """Text that can be encoded: file names, say, may have lone surrogates."""
    return text.encode("utf-8", "backslashreplace").decode()


class Caller(Protocol):
    """Runs one of the node's plain functions, here or on a thread of the node's own."""

    async def __call__(self, function: Callable[..., Any], *args: Any) -> Any: ...


async def call_plain(function: Callable[..., Any], *args: Any) -> Any:
    """The ``Caller`` of a process without an event loop."""
    return function(*args)


async def call_here(function: Callable[..., Any], *args: Any) -> Any:
    """The ``Caller`` for coroutines, and for what is quick enough for an event loop."""
    result = function(*args)
    return await result if inspect.isawaitable(result) else result


def is_async(node: type[Node]) -> bool:
    """Whether any of the node's methods needs an event loop."""
    return any(is_async_method(node, name) for name in _METHODS)


def is_async_method(node: type[Node], name: str) -> bool:
    """Whether the method of that name is a coroutine or an async generator."""
    method = getattr(node, name, None)
    return inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method)


def is_being_cancelled() -> bool:
    """Whether somebody cancels the task that runs, rather than the node raising."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no event loop: nobody can
        return False
    return task is not None and task.cancelling() > 0


def is_the_nodes(error: BaseException) -> bool:
    """Whether a node raised it, and not somebody who cancels the task that runs."""
    return not (isinstance(error, asyncio.CancelledError) and is_being_cancelled())


def carried(error: BaseException) -> Exception:
    """What a future can carry; an exit of one node must not end its host."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    carrier = ValueError(f"raised {type(error).__name__}: {error}")
    carrier.__cause__ = error
    return carrier


def is_value(result: Any) -> bool:
    return type(result) in VALUE_TYPES


async def each_value(result: Any, call: Caller) -> AsyncGenerator[Value, None]:
    """The values in what a method returned: none, one, or those of an iterator.

    Raises ``TypeError`` for anything else.
    """
    if result is None:
        return
    if is_value(result):
        yield result
    elif isinstance(result, AsyncIterator):
        async for value in result:
            yield checked(value)
    elif isinstance(result, Iterator):
        while (value := await call(next, result, END)) is not END:
            yield checked(value)
    elif isinstance(result, list | tuple):
        for value in result:
            yield checked(value)
    else:
        checked(result)


def plain_values(result: Any) -> Iterator[Any] | None:
    """What can be gone through without waiting: those of an iterator, list or tuple."""
    if isinstance(result, list | tuple):
        return iter(result)
    return result if isinstance(result, Iterator) else None


def close_iterator(result: Any) -> Awaitable[None] | None:
    """Have a generator run its ``finally`` blocks; an async one's closing is awaitable.

    One that another thread is still running is left to it.
    """
    if inspect.isasyncgen(result):
        return result.aclose()
    if inspect.isgenerator(result) and not result.gi_running:
        result.close()
    return None


def checked(value: Any) -> Value:
    """The value, where it is one; raises ``TypeError`` where it isn't."""
    if inspect.iscoroutine(value):
        value.close()
        raise TypeError("a plain method returned a coroutine: declare the method async")
    if not is_value(value):
        raise TypeError(f"expected {VALUE_NAMES} or None, got {type(value).__name__}")
    result: Value = value
    return result
