"""Exceptions as messages: a host is not trusted with what unpickling could do."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock import errors
from penstock.errors import Fault, PenstockError


class Failure(msgspec.Struct, frozen=True):
    """One of Penstock's exceptions: the name of its class, its message, and its facts."""

    kind: str
    message: str
    facts: dict[str, Any]


def as_failure(error: PenstockError) -> Failure:
    """The exception as a message; what is no text of protocols' any more is replaced."""
    facts = {name: _clean(fact) for name, fact in vars(error).items()}
    return Failure(type(error).__name__, _clean(str(error)), facts)


def as_error(failure: Failure) -> PenstockError:
    """The exception that ``failure`` was; the tree's root for a class that isn't in it."""
    found: Any = getattr(errors, failure.kind, None)
    known = isinstance(found, type) and issubclass(found, PenstockError)
    kind = found if known else PenstockError
    error: PenstockError = kind.__new__(kind)
    error.args = (failure.message,)
    vars(error).update({name: _restored(name, fact) for name, fact in failure.facts.items()})
    return error


def _clean(fact: Any) -> Any:
    """What a process said may have half characters."""
    return fact.encode("utf-8", "replace").decode() if isinstance(fact, str) else fact


def _restored(name: str, fact: Any) -> Any:
    if name == "faults":
        return tuple(msgspec.convert(fault, Fault) for fault in fact)
    return tuple(fact) if isinstance(fact, list) else fact
