"""The contract between a node's author and Penstock."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from penstock.data import ExecutorType
from penstock.nodes.context import ConcurrentContext, Host, NodeContext
from penstock.nodes.params import NodeParams


class Node:
    """One step of a pipeline. The same class runs on any executor.

    Define ``process(self, item)`` with annotated types: the item's type says which kinds of
    data the node accepts, the return type which it emits (unannotated: all). It may be plain
    or ``async`` and give a value, several (a generator or list), or None. A node without
    inputs defines ``produce(self)``, a generator, instead. Optional, plain or ``async``:

    - ``setup(self)``: load the model; report with ``self.ctx.progress(0.4, "weights")``;
    - ``flush(self)``: at the end of the stream, give what is still buffered, as ``process``;
    - ``interrupt(self)``: an interrupt (barge-in) upstream has ended the current turn: drop what
      is buffered of it. Called between two inputs; an open generator is closed before, an async
      ``process`` that waits is cancelled, and one that computes can look at
      ``self.ctx.interrupted``;
    - ``teardown(self)``: release what ``setup`` took; called once where ``setup`` was begun,
      however the session ends.

    Arrays of an input are read-only and stay valid for as long as anything holds them.
    On the native executor a plain ``process`` runs on a thread of the node's own;
    ``blocking = False`` promises that it is quick and may run on the event loop.

    An async ``process`` may work on ``concurrency`` inputs at once. Their outputs keep the
    order of the inputs, unless ``ordered = False`` has them given as they come.

    A node that works on so many samples of audio per channel at a time, whatever comes, may say
    so: ``chunk_samples`` is the number, or the name of the parameter that has it. Clients are
    told of it.
    """

    Params: ClassVar[type[NodeParams]] = NodeParams
    blocking: ClassVar[bool] = True
    concurrency: ClassVar[int] = 1
    ordered: ClassVar[bool] = True
    chunk_samples: ClassVar[int | str] = 0

    def __init__(self, params: NodeParams, ctx: NodeContext) -> None:
        self.params: Any = params
        self.ctx = ctx

    def setup(self) -> Any:
        """Called once, before the first input."""

    def flush(self) -> Any:
        """Called once, after the last input."""

    def interrupt(self) -> Any:
        """Called after an interrupt, before the next input."""

    def teardown(self) -> Any:
        """Called once, at the end."""


NodeClass = TypeVar("NodeClass", bound=type[Node])


def node(
    name: str, *, executor: ExecutorType | str | None = None
) -> Callable[[NodeClass], NodeClass]:
    """Name a ``Node`` class as a node type, and say which executor it would choose.

    A type that says nothing runs on the registry's default: multiprocess, unless the
    operator has set another. Raises ``ValueError`` for an executor that there is not, or a
    ``concurrency`` or ``chunk_samples`` that can't be, and ``TypeError`` for what is no name, for
    what is no ``Node`` class, and for one with ``Params`` or an ``__init__`` that can't be used.
    """
    if not isinstance(name, str):  # @node, without parentheses
        raise TypeError(f'@node needs a name, as in @node("Gain"), got {name!r}')
    chosen = None if executor is None else _executor(name, executor)

    def mark(cls: NodeClass) -> NodeClass:
        if not (isinstance(cls, type) and issubclass(cls, Node)):
            raise TypeError(f"@node({name!r}) needs a subclass of Node, got {cls!r}")
        _check_params(name, cls)
        _check_init(name, cls)
        _check_concurrency(name, cls)
        _check_chunk_samples(name, cls)
        cls.__penstock_node__ = (name, chosen)  # type: ignore[attr-defined]  # the mark
        return cls

    return mark


def _executor(name: str, executor: str) -> ExecutorType:
    try:
        return ExecutorType(executor)
    except ValueError:
        known = ", ".join(ExecutorType)
        message = f"@node({name!r}): executor must be one of {known}, got {executor!r}"
        raise ValueError(message) from None


def _check_params(name: str, cls: type[Node]) -> None:
    params: object = cls.Params
    if not (isinstance(params, type) and issubclass(params, NodeParams)):
        raise TypeError(f"@node({name!r}): Params must be a subclass of NodeParams, got {params!r}")


def _check_init(name: str, cls: type[Node]) -> None:
    try:
        inspect.signature(cls.__init__).bind("self", "params", "ctx")
    except TypeError:
        raise TypeError(
            f"@node({name!r}): __init__ must take (self, params, ctx), as that of Node, got "
            f"{inspect.signature(cls.__init__)}; what a node loads is for setup"
        ) from None


def _check_concurrency(name: str, cls: type[Node]) -> None:
    count = cls.concurrency
    if type(count) is not int or count < 1:
        raise ValueError(f"@node({name!r}): concurrency must be a number from 1 on, got {count!r}")
    process = getattr(cls, "process", None)
    is_async = inspect.iscoroutinefunction(process) or inspect.isasyncgenfunction(process)
    if count > 1 and not is_async:
        raise ValueError(
            f"@node({name!r}): concurrency = {count} needs an async process; a plain one "
            "works on one input at a time"
        )


def _check_chunk_samples(name: str, cls: type[Node]) -> None:
    said, params = cls.chunk_samples, cls.Params.model_fields
    named = isinstance(said, str) and said in params and params[said].annotation is int
    if not (named or (type(said) is int and said >= 0)):
        raise ValueError(
            f"@node({name!r}): chunk_samples must be a number from 0 on, or the name of a "
            f"parameter that is an int, got {said!r}"
        )


def make_context(cls: type[Node], node_id: str, session_id: str, host: Host) -> NodeContext:
    """What a node of this class gets as ``ctx``."""
    kind = NodeContext if cls.concurrency == 1 else ConcurrentContext
    return kind(node_id, session_id, host)
