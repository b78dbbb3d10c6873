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


_BYTES = np.dtype(np.uint8)


class Host(Protocol):
    """What the executor provides behind a ``NodeContext``."""

    def progress(self, fraction: float, message: str) -> None:
        """Tell the session how far ``setup`` is."""

    def allocate(self, nbytes: int) -> NDArray[np.uint8]:
        """A writable flat array; from shared memory where outputs leave the process."""

    def stopping(self) -> bool:
        """Whether the session wants the node to come to an end."""


class NodeContext:
    """Handed to ``setup`` and kept as ``self.ctx``.

    ``logger`` writes with the node's name; ``arrival`` is the message that ``process`` is
    working on (``origin`` says by which connection it came), None outside ``process``.
    """

    __slots__ = ("_host", "arrival", "logger", "node_id", "session_id")

    def __init__(self, node_id: str, session_id: str, host: Host) -> None:
        self.enter(node_id, session_id)
        self.arrival: Message | None = None
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
