"""Exceptions as messages: a host is not trusted with what unpickling could do."""

from __future__ import annotations

import functools
import typing
from collections.abc import Mapping
from typing import Any

import msgspec

from penstock import errors
from penstock.errors import LaneError, PenstockError, ServiceError


class Failure(msgspec.Struct, frozen=True):
    """One of Penstock's exceptions: the name of its class, its message, and its facts."""

    kind: str
    message: str
    facts: dict[str, Any]


def as_failure(error: PenstockError) -> Failure:
    """The exception as a message, by the closest class that both sides know.

    What is no text of protocols' any more is replaced.
    """
    kind = next(cls for cls in type(error).__mro__ if getattr(errors, cls.__name__, None) is cls)
    facts = {name: _clean(getattr(error, name)) for name in _facts_of(kind.__name__)}
    return Failure(kind.__name__, _clean(str(error)), facts)


def as_error(failure: Failure) -> PenstockError:
    """The exception that ``failure`` was.

    Raises ``ValueError`` for what no host ends its session with: another class, other facts.
    """
    kind: Any = getattr(errors, failure.kind, None)
    if not (isinstance(kind, type) and issubclass(kind, PenstockError)) or kind is ServiceError:
        raise ValueError(f"expected one of Penstock's exceptions, got {failure.kind!r}")
    error: PenstockError = kind.__new__(kind)
    error.args = (failure.message,)
    vars(error).update(_checked(failure, _facts_of(failure.kind)))
    return error


def _checked(failure: Failure, wanted: Mapping[str, Any]) -> dict[str, Any]:
    if set(failure.facts) != set(wanted):
        raise ValueError(f"{failure.kind}: expected {sorted(wanted)}, got {sorted(failure.facts)}")
    try:
        facts = {name: msgspec.convert(failure.facts[name], kind) for name, kind in wanted.items()}
    except msgspec.ValidationError as exc:
        raise ValueError(f"{failure.kind}: {exc}") from exc
    return {name: tuple(fact) if isinstance(fact, list) else fact for name, fact in facts.items()}


@functools.cache
def _facts_of(name: str) -> Mapping[str, Any]:
    """The attributes of a class of exceptions, with their types: what it is made of."""
    kind = getattr(errors, name)
    hints = typing.get_type_hints(kind.__init__)
    facts = {name: hint for name, hint in hints.items() if name not in ("return", "message")}
    return {**facts, "fact": str} if issubclass(kind, LaneError) else facts


def _clean(fact: Any) -> Any:
    """What a process said may have half characters."""
    return fact.encode("utf-8", "replace").decode() if isinstance(fact, str) else fact
