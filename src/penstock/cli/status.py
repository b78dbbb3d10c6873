"""What a failure says on stderr, and which exit status it means."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from penstock.errors import (
    ConfigurationError,
    Fault,
    InputError,
    ManifestError,
    MissingExtraError,
    NodeExecutionError,
    NodeTimeoutError,
    PenstockError,
    ServiceError,
)

FAILED = 1
WRONG_INPUT = 2
INTERRUPTED = 130
_REFUSALS = ("VALIDATION", "TYPE_VALIDATION")
"""A service's error types for what it was given."""
_MISSING_EXTRA = f"{MissingExtraError.__module__}.{MissingExtraError.__qualname__}: "
"""How the traceback of one ends."""


def status_of(error: PenstockError) -> int:
    """2 where what Penstock was given is wrong, 1 where it failed."""
    if isinstance(error, ManifestError | ConfigurationError | InputError):
        return WRONG_INPUT
    if isinstance(error, ServiceError) and error.error_type in _REFUSALS:
        return WRONG_INPUT
    return FAILED


def complain(error: PenstockError) -> None:
    """Say on stderr what went wrong; a failing node's stacks come along, never our own.

    Of a node that lacks an extra they would say nothing more.
    """
    if isinstance(error, ManifestError | ConfigurationError):
        report("error", error.faults)
        return
    if isinstance(error, NodeExecutionError | ServiceError):
        traceback = error.traceback.rstrip()
        if traceback and not traceback.rpartition("\n")[2].startswith(_MISSING_EXTRA):
            print(traceback, file=sys.stderr)
    elif isinstance(error, NodeTimeoutError) and error.stacks:
        print(error.stacks.rstrip(), file=sys.stderr)
    print(f"error: {error}", file=sys.stderr)


def report(label: str, faults: Iterable[Fault]) -> None:
    """One line on stderr for each fault."""
    for fault in faults:
        print(f"{label}: {fault}", file=sys.stderr)
