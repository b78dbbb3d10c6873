"""What the operator lets sessions use: ``[limits]`` of ``penstock.toml``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from penstock.errors import Fault
from penstock.manifest.capacity import Capacity
from penstock.manifest.schema import Bytes, Document, MultiprocessDefaults, NodeMemory, OpenFiles

READ_AHEAD_BYTES = 1 << 20
"""What a service reads of a stream before its turn, so that a CANCEL behind it is seen."""
DEFAULT_BUFFERED_BYTES = 32 << 20
_Buffered = Annotated[int, Field(ge=2 * READ_AHEAD_BYTES, lt=1 << 63)]
_Count = Annotated[int, Field(ge=1, le=1 << 22)]  # no more processes can have a number


def _half_of_memory() -> int:
    return Capacity.here().memory_bytes // 2


def _quarter_of_memory() -> int:
    return Capacity.here().memory_bytes // 4


class Limits(Document):
    """``[limits]``: what all sessions of one service may use together.

    What ends in ``_per_session`` binds each of them. Buffered bytes are values in queues
    outside shared memory, by their ``held_bytes``: between native nodes, for taps, and what a
    service reads ahead. ``max_message_bytes`` are ``payload_bytes``.
    ``max_node_memory_bytes`` and ``max_open_files`` bind the process of each node (None:
    nothing does).
    """

    max_processes: _Count = 100
    max_sessions: _Count = 1000
    max_shared_memory_bytes: Bytes = Field(default_factory=_half_of_memory)
    max_shared_memory_bytes_per_session: Bytes | None = None
    max_buffered_bytes: _Buffered = Field(default_factory=_quarter_of_memory)
    max_buffered_bytes_per_session: _Buffered = DEFAULT_BUFFERED_BYTES
    max_message_bytes: Bytes = 64 << 20
    max_node_memory_bytes: NodeMemory | None = None
    max_open_files: OpenFiles | None = None


def limit_faults(limits: Limits, defaults: MultiprocessDefaults) -> list[Fault]:
    """Limits that can't be met: a part that is larger than its whole."""
    return [
        Fault(
            path,
            f"must be at most {name}, which is {limit}, got {value}",
            found=str(value),
            expected=f"at most {limit}",
        )
        for path, value, name, limit in _pairs(limits, defaults)
        if value is not None and limit is not None and value > limit
    ]


def _pairs(
    limits: Limits, defaults: MultiprocessDefaults
) -> Iterator[tuple[str, int | None, str, int | None]]:
    """Where a value stands, the value, the limit that it has to keep, and its value."""
    for part, whole in (
        ("max_shared_memory_bytes_per_session", "max_shared_memory_bytes"),
        ("max_buffered_bytes_per_session", "max_buffered_bytes"),
    ):
        if part in limits.model_fields_set:
            yield f"limits.{part}", getattr(limits, part), f"limits.{whole}", getattr(limits, whole)
    for own, whole in (
        ("max_processes_per_session", "max_processes"),
        ("max_message_bytes", "max_message_bytes"),
        ("node_memory_bytes", "max_node_memory_bytes"),
        ("open_files", "max_open_files"),
    ):
        limit = getattr(limits, whole)
        yield f"multiprocess.{own}", getattr(defaults, own), f"limits.{whole}", limit
