"""How long something may take, and how much, as the client's caller says it."""

from __future__ import annotations

from dataclasses import dataclass, fields

from penstock.errors import InputError
from penstock.wire.v1 import common_pb2 as pb

LONGEST_S = 1e9
"""32 years; what is longer gRPC takes for a time in the past, from some 230 years on."""
_MOST = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class ResourceLimits:
    """What one session may take at most, for the service to see to (None: what that allows).

    ``max_memory_bytes`` is what nodes, queues and shared memory take together, beyond what empty
    processes take; ``max_audio_samples`` counts those of all inputs, in all channels. What goes
    beyond one of them ends the session, a ``RESOURCE_LIMIT``; what can't run with so little memory
    is not even started. Raises ``TypeError`` for what is no ``int``, ``ValueError`` for one that is
    no limit.
    """

    max_memory_bytes: int | None = None
    max_timeout_ms: int | None = None
    max_audio_samples: int | None = None

    def __post_init__(self) -> None:
        for name, given in self._given():
            if not isinstance(given, int) or isinstance(given, bool):
                raise TypeError(f"{name}: expected an int or None, got {given!r}")
            if not 1 <= given <= _MOST:
                raise ValueError(f"{name}: expected 1 to 2**64 - 1, got {given}")

    def write(self, message: pb.ResourceLimits) -> None:
        """Say those that are set; 0 is for those that aren't."""
        for name, given in self._given():
            setattr(message, name, given)

    def _given(self) -> list[tuple[str, int]]:
        said = [(field.name, getattr(self, field.name)) for field in fields(self)]
        return [(name, given) for name, given in said if given is not None]


def check_timeout(timeout_s: float | None) -> None:
    """Raises ``InputError`` for what is no time to wait: 0 is one, and None is no limit."""
    if timeout_s is not None and not timeout_s >= 0:
        raise InputError(f"timeout_s: expected 0 seconds or more, got {timeout_s!r}")


def call_timeout(timeout_s: float | None) -> float | None:
    """The same as gRPC takes it: a limit that nobody would live to see is none."""
    check_timeout(timeout_s)
    return None if timeout_s is None or timeout_s > LONGEST_S else timeout_s
