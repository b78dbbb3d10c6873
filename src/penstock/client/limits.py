"""How long something may take, as the caller of the client says it in seconds."""

from __future__ import annotations

from penstock.errors import InputError

LONGEST_S = 1e9
"""32 years; what is longer gRPC takes for a time in the past, from some 230 years on."""


def check_timeout(timeout_s: float | None) -> None:
    """Raises ``InputError`` for what is no time to wait: 0 is one, and None is no limit."""
    if timeout_s is not None and not timeout_s >= 0:
        raise InputError(f"timeout_s: expected 0 seconds or more, got {timeout_s!r}")


def call_timeout(timeout_s: float | None) -> float | None:
    """The same as gRPC takes it: a limit that nobody would live to see is none."""
    check_timeout(timeout_s)
    return None if timeout_s is None or timeout_s > LONGEST_S else timeout_s
