"""What a node may ask of the place that it runs in."""

from __future__ import annotations

import logging
import math
from contextvars import ContextVar
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from penstock.data import Message

_ARRIVAL: ContextVar[Message | None] = ContextVar("arrival", default=None)
_TURN: ContextVar[int] = ContextVar("turn", default=0)

_BYTES = np.dtype(np.uint8)


class Host(Protocol):
    """What the executor provides behind a ``NodeContext``."""

    def progress(self, fraction: float, message: str) -> None:
        """Tell the session how far ``setup`` is."""

    def allocate(self, nbytes: int) -> NDArray[np.uint8]:
        """A writable flat array; from shared memory where outputs leave the process."""

    def stopping(self) -> bool:
        """Whether the session wants the node to come to an end."""

    def turn(self) -> int:
        """The turn that the node's work should be in now."""

    def interrupt(self, node_id: str) -> None:
        """Have the session interrupt what is downstream of a node."""


class NodeContext:
    """Handed to ``setup`` and kept as ``self.ctx``.

    ``logger`` writes with the node's name; ``arrival`` is the message that ``process`` is
    working on (``origin`` says by which connection it came), None outside ``process``. ``turn``
    changes with each interrupt that ends what the node is working on.
    """

    __slots__ = ("_host", "arrival", "logger", "node_id", "session_id", "turn")

    def __init__(self, node_id: str, session_id: str, host: Host) -> None:
        self.enter(node_id, session_id)
        self.arrival: Message | None = None
        self.turn = 0
        self._host = host

    def enter(self, node_id: str, session_id: str) -> None:
        """Be in a session; for executors, which may set a node up before it has one."""
        self.node_id = node_id
        self.session_id = session_id
        self.logger = logging.getLogger(f"penstock.node.{node_id}")

    def progress(self, fraction: float, message: str = "") -> None:
        """Report how far ``setup`` is: ``fraction`` in [0, 1] and what it is doing."""
        self._host.progress(min(max(fraction, 0.0), 1.0), message)

    def allocate(self, shape: tuple[int, ...] | int, dtype: DTypeLike) -> NDArray[Any]:
        """Memory for an output that leaves the process without a copy.

        Fill it, wrap it in a value and return that; don't write to it any more then: whoever
        receives it looks at the same memory.
        """
        kind = np.dtype(dtype)
        if isinstance(shape, int):
            flat = self._host.allocate(shape * kind.itemsize)
            return flat if kind is _BYTES else flat.view(kind)
        count = math.prod(shape)
        return self._host.allocate(count * kind.itemsize).view(kind).reshape(shape)

    @property
    def stopping(self) -> bool:
        """Whether the session is ending; a ``produce`` that waits should return then."""
        return self._host.stopping()

    @property
    def interrupted(self) -> bool:
        """Whether an interrupt has come since the work on the current input was begun.

        What that gives is dropped: it should end.
        """
        return self._host.turn() != self.turn

    def interrupt(self, node_id: str | None = None) -> None:
        """Interrupt what is downstream of a node for the current turn (default: of this one).

        What this node itself works on goes on, unless it is downstream of the other. It takes
        effect before whatever this node gives next, which is of the new turn. Naming a node that
        there is not ends the session with a ``NodeError``.
        """
        self._host.interrupt(self.node_id if node_id is None else node_id)


class ConcurrentContext(NodeContext):
    """The context of a node that works on several inputs at once: each task has its own."""

    __slots__ = ()

    @property
    def arrival(self) -> Message | None:
        """The message that ``process`` is working on in the task that asks."""
        return _ARRIVAL.get()

    @arrival.setter
    def arrival(self, message: Message | None) -> None:
        _ARRIVAL.set(message)

    @property
    def turn(self) -> int:
        """The turn that this task was begun in."""
        return _TURN.get()

    @turn.setter
    def turn(self, turn: int) -> None:
        _TURN.set(turn)
