"""The one exception tree; branches are drawn by who has to act.

::

    PenstockError
    ├── ManifestError             the manifest's author: every fault, each with its path
    ├── ConfigurationError        the operator: penstock.toml, the executor registry
    ├── MissingExtraError         the operator: an optional part isn't installed
    ├── LibraryError              the operator: a library that a node is built on failed
    ├── ResourceLimitError        the operator or the caller: more was wished than is free
    ├── AccessError               the caller: it may not do that
    ├── InputError                the caller: a value, node or sequence that can't be taken
    │   ├── InvalidValueError     the value itself: malformed, or of a kind that isn't accepted
    │   ├── UnknownNodeError      there is no such node
    │   ├── NodeAddressError      what is wished can't be done with that node
    │   └── SequenceError         a chunk's number that leaves a gap, or comes again
    ├── NodeError                 the node's author
    │   ├── NodeExecutionError    it raised; exception, message and traceback
    │   ├── NodeExitedError       its process ended: signal or exit code, last words
    │   └── NodeTimeoutError      a deadline passed
    ├── StallError                the caller: a ring of full lanes in which nothing moves
    ├── SessionError              the caller
    │   ├── SessionClosedError    used after its end
    │   ├── SessionIdleError      nothing came and nothing went for too long
    │   └── SessionCancelledError ended by cancel or by a client that left
    ├── SupervisionError          the operator: a process that sessions rely on is gone or mute
    ├── LaneError                 us, or a peer that speaks rubbish: a broken or corrupt lane
    │   ├── LaneClosedError       the process at its other end is gone
    │   └── ConservationError     what was sent is not what arrived plus what was dropped
    ├── VersionError              the caller: another version of the protocol than the service's
    ├── ServiceError              the client: what the service answered
    │   └── ExecutionFailedError  a session of an execute (penstock.client): what its nodes did
    └── InvalidTransition         us: a state machine was asked for a step it doesn't have

Every exception keeps its facts as attributes and survives pickling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final


def _rebuild(
    cls: type[PenstockError], args: tuple[Any, ...], facts: dict[str, Any]
) -> PenstockError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(facts)
    return error


class PenstockError(Exception):
    """The root of everything that Penstock raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a manifest or a configuration.

    ``path`` is where (``nodes[2].params.chunk_size``); ``found`` and ``expected`` are short
    texts, and ``suggestion`` is the closest known name, where one is close.
    """

    path: str
    message: str
    found: str | None = None
    expected: str | None = None
    suggestion: str | None = None

    def __str__(self) -> str:
        hint = f" (did you mean {self.suggestion!r}?)" if self.suggestion else ""
        return f"{self.path}: {self.message}{hint}" if self.path else f"{self.message}{hint}"


class _DocumentError(PenstockError):
    """A document with at least one fault; the message lists all of them."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class ManifestError(_DocumentError):
    """The manifest can't run; ``faults`` has every reason, each with its path."""


class ConfigurationError(_DocumentError):
    """What the operator configured can't be used; ``faults`` has every reason."""


class MissingExtraError(PenstockError):
    """``package``, which ``user`` needs, isn't installed; ``extra`` brings it."""

    def __init__(self, user: str, package: str, *, extra: str) -> None:
        self.user = user
        self.package = package
        self.extra = extra
        super().__init__(f"{user} needs {package}: pip install 'penstock[{extra}]'")


class LibraryError(PenstockError):
    """A library that a node is built on failed, or can't be used here."""


class ResourceLimitError(PenstockError):
    """More of ``resource`` was wished than its limit leaves free; nothing was started.

    ``sequence`` is the number of the chunk that was too much, where it was one.
    """

    sequence: int | None = None

    def __init__(self, resource: str, *, wished: int, free: int, limit: int) -> None:
        self.resource = resource
        self.wished = wished
        self.free = free
        self.limit = limit
        super().__init__(f"{resource}: {wished} wished, {free} free of {limit}")


class AccessError(PenstockError):
    """Whoever calls a service may not do that; the operator says who may."""


class InputError(PenstockError):
    """A value, a node ID or a sequence number that the session can't take.

    ``sequence`` is the number of the chunk that it came with, where it came with a chunk, and
    ``node_id`` the node that it was for, where that is known.
    """

    node_id = ""
    sequence: int | None = None

    def __init__(self, message: str, *, node_id: str = "") -> None:
        if node_id:
            self.node_id = node_id
        super().__init__(message)


class InvalidValueError(InputError):
    """A value that is malformed, or of a kind that its node doesn't accept."""


class UnknownNodeError(InputError):
    """A node that the session doesn't have.

    ``suggestion`` is the one that may be meant, where one is called much like it.
    """

    def __init__(self, found: str, known: Sequence[str], suggestion: str | None = None) -> None:
        self.found = found
        self.known = tuple(known)
        self.suggestion = suggestion
        near = f"did you mean {suggestion!r}?" if suggestion else f"there are {', '.join(known)}"
        super().__init__(f"no node has the ID {found[:128]!r} ({near})")


class NodeAddressError(InputError):
    """What is wished can't be done with the node ``node_id``; ``fact`` says why."""

    def __init__(self, node_id: str, fact: str) -> None:
        self.fact = fact
        super().__init__(f"node {node_id!r} {fact}", node_id=node_id)


class SequenceError(InputError):
    """A chunk whose number does not follow those before it: there is a gap, or it is a repeat."""

    def __init__(self, *, found: int, expected: Sequence[int]) -> None:
        self.found = found
        self.expected = tuple(expected)
        known = " or ".join(str(number) for number in self.expected)
        super().__init__(f"sequence: expected {known}, got {found}")


class NodeError(PenstockError):
    """A node failed; ``node_id`` says which, ``stderr`` what it said last."""

    def __init__(self, node_id: str, message: str, *, stderr: str = "") -> None:
        self.node_id = node_id
        self.stderr = stderr
        last_words = f"\nits last output on stderr:\n{stderr.rstrip()}" if stderr.strip() else ""
        super().__init__(f"node {node_id!r}: {message}{last_words}")


class NodeExecutionError(NodeError):
    """The node raised in ``during`` (``setup``, ``process``, ``flush``, …)."""

    def __init__(
        self,
        node_id: str,
        *,
        during: str,
        exception_type: str,
        exception_message: str,
        traceback: str,
        stderr: str = "",
    ) -> None:
        self.during = during
        self.exception_type = exception_type
        self.exception_message = exception_message
        self.traceback = traceback
        super().__init__(
            node_id, f"{during} raised {exception_type}: {exception_message}", stderr=stderr
        )


class NodeExitedError(NodeError):
    """The node's process ended on its own: ``signal`` (its name) or ``exit_code`` is set.

    ``exceeded_bytes`` is the limit of memory that the kernel killed it for, if it did.
    """

    def __init__(
        self,
        node_id: str,
        *,
        pid: int,
        exit_code: int | None = None,
        signal: str | None = None,
        exceeded_bytes: int | None = None,
        stderr: str = "",
    ) -> None:
        self.pid = pid
        self.exit_code = exit_code
        self.signal = signal
        self.exceeded_bytes = exceeded_bytes
        how = f"was killed by {signal}" if signal else f"exited with code {exit_code}"
        if exceeded_bytes is not None:
            how += f", over its memory limit of {exceeded_bytes} bytes"
        super().__init__(node_id, f"its process {pid} {how}", stderr=stderr)


class NodeTimeoutError(NodeError):
    """The node did not finish ``during`` within ``limit_s`` seconds.

    ``stacks`` is where its threads and tasks were then, as text; empty where it didn't say.
    """

    def __init__(
        self, node_id: str, *, during: str, limit_s: float, stderr: str = "", stacks: str = ""
    ) -> None:
        self.during = during
        self.limit_s = limit_s
        self.stacks = stacks
        super().__init__(node_id, f"{during} did not end within {limit_s:g} s", stderr=stderr)


class StallError(PenstockError):
    """Nothing moves: each member of ``ring`` waits for the next, the last for the first."""

    def __init__(self, ring: Sequence[str], *, limit_s: float) -> None:
        self.ring = tuple(ring)
        self.limit_s = limit_s
        path = " → ".join([*self.ring, self.ring[0]])
        hint = "raise channel_capacity"
        if "client" in self.ring:
            hint += ", read outputs while sending, or raise stall_timeout_secs for a slow reader"
        super().__init__(f"stalled for {limit_s:g} s: {path}; each waits for the next: {hint}")


class SessionError(PenstockError):
    """A session was used in a way that its state doesn't allow."""


class SessionClosedError(SessionError):
    """The session has ended, or its inputs have."""


class SessionIdleError(SessionError):
    """The session neither got nor gave anything for ``limit_s`` seconds."""

    def __init__(self, *, limit_s: float) -> None:
        self.limit_s = limit_s
        super().__init__(f"no input came and no output went for {limit_s:g} s (session_idle_secs)")


class SessionCancelledError(SessionError):
    """The session was ended before its work was done; ``reason`` says by what."""

    CLIENT_LEFT: Final = "client disconnected"

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"session ended early: {reason}")


class SupervisionError(PenstockError):
    """A process that a session relies on can't be had, has died, or gives no sign of life.

    ``at_work`` are the nodes that it died with, where there were several: each may have done it.
    """

    at_work: tuple[str, ...] = ()

    def __init__(self, message: str, *, at_work: Sequence[str] = ()) -> None:
        if at_work:
            self.at_work = tuple(at_work)
        super().__init__(message)


class LaneError(PenstockError):
    """A lane broke or carried what is no message; ``lane`` names it."""

    def __init__(self, lane: str, message: str) -> None:
        self.lane = lane
        self.fact = message
        super().__init__(f"lane {lane}: {message}")


class LaneClosedError(LaneError):
    """The process at the other end is gone, and the stream had not ended."""


class ConservationError(LaneError):
    """The two ends of a lane disagree about how many messages it carried."""

    def __init__(self, lane: str, *, sent: int, received: int, dropped: int) -> None:
        self.sent = sent
        self.received = received
        self.dropped = dropped
        super().__init__(lane, f"sent {sent}, but received {received} and dropped {dropped}")


class VersionError(PenstockError):
    """A client speaks another version of the protocol than its service."""

    def __init__(self, *, found: str, expected: str) -> None:
        self.found = found
        self.expected = expected
        super().__init__(f"client_version: expected {expected}, got {found}")


class ServiceError(PenstockError):
    """The service answered with an error.

    ``error_type`` is the protocol's name for it (``VALIDATION``, ``NODE_EXECUTION``, …);
    ``node_id``, ``context`` and ``traceback`` are what it said besides. Of a stream it says what
    that was to it, ``stream_error`` (``INVALID_SEQUENCE``, ``TIMEOUT``, …; empty for a call), and
    which input it was at: ``sequence``, 0 where that is none's.
    """

    def __init__(
        self,
        message: str,
        *,
        error_type: str,
        node_id: str = "",
        context: str = "",
        traceback: str = "",
    ) -> None:
        self.stream_error = ""
        self.sequence = 0
        self.error_type = error_type
        self.node_id = node_id
        self.context = context
        self.traceback = traceback
        super().__init__(message)


class InvalidTransition(PenstockError):
    """A state machine has no step for ``event`` in ``state``; ``history`` led there."""

    def __init__(self, machine: str, state: str, event: str, history: Sequence[str]) -> None:
        self.machine = machine
        self.state = state
        self.event = event
        self.history = tuple(history)
        super().__init__(
            f"{machine}: no step for {event!r} in state {state!r} "
            f"(so far: {' → '.join(self.history)})"
        )
