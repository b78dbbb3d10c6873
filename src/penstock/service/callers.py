"""Who calls, and what they may: known by a token, a certificate, or where they call from."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from penstock.errors import AccessError, ConfigurationError, Fault, ResourceLimitError
from penstock.manifest import TokenRights, Tokens, load_tokens
from penstock.service.status import Context
from penstock.service.unheeded import say_which_methods_are_none
from penstock.session import Cost

_log = logging.getLogger(__name__)
_COMMON_NAME = "x509_common_name"
_SETTLED_NS = 100_000_000
"""A file that has not been written to for so long is written to its end."""
_LONGEST_S = 1.0
"""One that is written to again and again is read after so long all the same."""
BEARER: ContextVar[Caller | None] = ContextVar("bearer", default=None)
"""Who has shown a token in the call that this task serves."""


@dataclass(frozen=True, slots=True)
class Caller:
    """``name`` tells one caller from another; one without ``rights`` may do everything."""

    name: str
    rights: TokenRights | None = None

    @property
    def sees_all(self) -> bool:
        """Whether it may look at, and control, sessions that it hasn't opened."""
        return self.rights is None or self.rights.sessions == "all"

    def sees(self, holder: Caller) -> bool:
        """Whether it may look at, and control, a session that ``holder`` has opened."""
        return self.sees_all or holder.name == self.name

    def may_use(self, node_type: str) -> bool:
        """Whether its pipelines may have nodes of that type."""
        return self.rights is None or self.rights.may_use(node_type)

    def check_types(self, node_types: Iterable[str]) -> None:
        """Raises ``AccessError`` for the first of a pipeline's types that it may not use."""
        for node_type in node_types if self.rights is not None else ():
            if not self.may_use(node_type):
                raise AccessError(f"{self.name} may not use nodes of type {node_type[:128]!r}")


ANYBODY = Caller("anybody")
"""Where nobody has been asked who calls."""


def caller_of(context: Context) -> Caller:
    """Whoever makes the call that this task serves."""
    bearer = BEARER.get()
    if bearer is not None:
        return bearer
    for name in context.auth_context().get(_COMMON_NAME, ()):
        return Caller(f"certificate {name.decode(errors='replace')}")
    return Caller(_address(context.peer()))


def _address(peer: str) -> str:
    """Where a call comes from, without the port, which changes with each connection."""
    kind, _, rest = peer.partition(":")
    return f"{kind}:{rest.rpartition(':')[0]}" if kind in ("ipv4", "ipv6") else kind


class _Stamp(NamedTuple):
    """What shows that a file has changed, or who may write to it."""

    inode: int
    mtime_ns: int
    size: int
    mode: int


class TokenFile:
    """The tokens of a file, as it is now; where it can't be read any more, as it was last.

    So it is while somebody writes to it: what is half written is not taken for its end. Raises
    ``ConfigurationError`` where it can't be read in the first place.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._seen = self._stamp()
        self._fault = ""
        self._unsettled_s: float | None = None
        self._tokens = load_tokens(path)
        say_which_methods_are_none(self._tokens)

    def current(self) -> Tokens:
        """What holds now: it costs a look at the file's date and at who may write to it.

        A read that failed for a reason that passes is tried again.
        """
        stamp = self._stamp()
        if stamp != self._seen and not self._is_being_written(stamp):
            self._reload(stamp)
        return self._tokens

    def _is_being_written(self, stamp: _Stamp | None) -> bool:
        """Whether more may follow; who writes without end is not waited for."""
        now_s, age_ns = time.monotonic(), time.time_ns() - (stamp.mtime_ns if stamp else 0)
        if self._seen is not None and stamp is not None and stamp.mtime_ns == self._seen.mtime_ns:
            return False
        if not 0 <= age_ns < _SETTLED_NS:
            self._unsettled_s = None
            return False
        self._unsettled_s = self._unsettled_s or now_s
        return now_s - self._unsettled_s < _LONGEST_S

    def _reload(self, stamp: _Stamp | None) -> None:
        """What keeps the file from being read may pass without a change of it; it is told once."""
        try:
            self._tokens = self._read(stamp)
        except ConfigurationError as exc:
            if self._fault != (fault := f"{stamp}: {exc}"):
                _log.error("the tokens stay as they were: %s", exc)
            self._fault = fault
            if isinstance(exc.__cause__, OSError):
                return
        else:
            self._fault = ""
            _log.info("the tokens have been read again from %s", self._path)
            say_which_methods_are_none(self._tokens)
        self._seen = stamp

    def _read(self, stamp: _Stamp | None) -> Tokens:
        tokens = load_tokens(self._path)
        if self._stamp() != stamp:
            fault = Fault("service.tokens", f"{self._path}: has changed while it was read")
            raise ConfigurationError([fault])
        return tokens

    def _stamp(self) -> _Stamp | None:
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return _Stamp(found.st_ino, found.st_mtime_ns, found.st_size, found.st_mode)


_SHARED = ("sessions", "processes", "shared_memory_bytes")
"""What a caller may have a part of."""


class Shares:
    """What each caller has of the service, in all its sessions together.

    ``max_sessions`` binds every caller, beside the rights of its own.
    """

    def __init__(self, max_sessions: int | None) -> None:
        self._max_sessions = max_sessions
        self._used: dict[str, Counter[str]] = {}

    def take(self, caller: Caller, cost: Cost) -> None:
        """Count one more session; raises ``ResourceLimitError`` where it may have no more."""
        if (shortage := self.shortage(caller, cost)) is not None:
            raise shortage
        self._used.setdefault(caller.name, Counter()).update(_parts(cost))

    def shortage(self, caller: Caller, cost: Cost) -> ResourceLimitError | None:
        """Why it may not have one more; None where it may."""
        used = self._used.get(caller.name, Counter())
        for resource in _SHARED:
            limit, wished = self._limit(caller, resource), getattr(cost, resource)
            if limit is not None and used[resource] + wished > limit:
                free = max(limit - used[resource], 0)
                name = f"{resource} of this caller"
                return ResourceLimitError(name, wished=wished, free=free, limit=limit)
        return None

    def give_back(self, caller: Caller, cost: Cost) -> None:
        """The session is gone."""
        used = self._used[caller.name]
        used.subtract(_parts(cost))
        if not used["sessions"]:
            del self._used[caller.name]

    def _limit(self, caller: Caller, resource: str) -> int | None:
        own = None if caller.rights is None else getattr(caller.rights, f"max_{resource}")
        everybodys = self._max_sessions if resource == "sessions" else None
        limits = [limit for limit in (own, everybodys) if limit is not None]
        return min(limits, default=None)


def _parts(cost: Cost) -> dict[str, int]:
    return {resource: getattr(cost, resource) for resource in _SHARED}
