"""What a session, its supervisor and its node processes tell each other."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from penstock.bridges import ConsumerStatistics, LaneSpec, ProducerStatistics
from penstock.data import Kind
from penstock.executors.multiprocess.limits import Allowance
from penstock.executors.node_state import NodeState
from penstock.executors.statistics import NodeStatistics
from penstock.executors.trail import NodeSpan


class _Message(msgspec.Struct, frozen=True, tag=True):
    """Told apart by the name of its class."""


# From the session to a node's process.


class Prepare(_Message, frozen=True):
    """First of all: the node to set up.

    ``sys_path`` is the session's: the process takes it over whole, or, with another
    interpreter, adds it to its own.
    """

    session_id: str
    node_id: str
    provider: str
    params: dict[str, Any]
    sys_path: list[str]
    whole_path: bool


class Join(_Message, frozen=True):
    """The session that the node is one of, and this process's share of memory.

    A node that was set up before any session wanted it is told another ``node_id`` now.
    ``owner`` makes its slab IDs unique in the session. The page of epochs comes with this, as a
    descriptor; ``slot`` is the node's place there. With ``traced`` it tells of its spans.
    """

    session_id: str
    node_id: str
    emits: frozenset[Kind]
    owner: int
    pool_bytes: int
    max_message_bytes: int
    slot: int
    traced: bool = False


class AddLane(_Message, frozen=True):
    """A lane's end comes with this, as a descriptor; ``inbound`` says which end.

    One that is no part of the pipeline may come at any time; it is gone when its peer is.
    """

    spec: LaneSpec
    inbound: bool


class Run(_Message, frozen=True):
    """All nodes are ready: begin."""


class StopProducing(_Message, frozen=True):
    """A node that produces should come to its end."""


class Interrupted(_Message, frozen=True):
    """The page of epochs says something new; ``by`` is the node that had asked for it, or empty."""

    by: str


class SetState(_Message, frozen=True):
    """Whether the node works on its inputs, from the next one on."""

    state: NodeState


class Confirm(_Message, frozen=True):
    """Answer with ``Confirmed``: what was said before has been heeded."""

    number: int


class Measure(_Message, frozen=True):
    """Answer with ``Measured``."""


ToNode: TypeAlias = (
    Prepare | Join | AddLane | Run | StopProducing | Interrupted | SetState | Confirm | Measure
)


# From a node's process to the session.


class Progress(_Message, frozen=True):
    """How far the initialisation is; see ``penstock.session.NodeProgress``."""

    stage: str
    fraction: float
    message: str


class Ready(_Message, frozen=True):
    """``setup`` has ended."""


class Failed(_Message, frozen=True):
    """The node raised ``exception_type`` in ``during``."""

    during: str
    exception_type: str
    exception_message: str
    traceback: str


class Interrupt(_Message, frozen=True):
    """This node wants what is downstream of ``node_id`` to be interrupted."""

    node_id: str


class Confirmed(_Message, frozen=True):
    """Everything that came before ``Confirm`` was heeded."""

    number: int


class LaneBroken(_Message, frozen=True):
    """A lane of this node failed; with ``peer_gone`` its neighbour's death is the cause."""

    lane: str
    message: str
    peer_gone: bool


class Hoarding(_Message, frozen=True):
    """This node keeps so many of a lane's payloads that it gets copies from now on."""

    lane_id: int
    held: int
    held_bytes: int


class Measured(_Message, frozen=True):
    """The node's counters and those of its lane ends, by lane ID."""

    node: NodeStatistics
    outbound: dict[int, ProducerStatistics]
    inbound: dict[int, ConsumerStatistics]


class Traced(_Message, frozen=True):
    """Some of this node's spans; as many as ``lost`` were given up before them."""

    spans: list[NodeSpan]
    lost: int


class Finished(_Message, frozen=True):
    """Everything was processed, flushed and confirmed by the consumers."""

    last: Measured


FromNode: TypeAlias = (
    Progress
    | Ready
    | Failed
    | Interrupt
    | Confirmed
    | LaneBroken
    | Hoarding
    | Measured
    | Traced
    | Finished
)


# From the session, or the owner of its host, to its supervisor.


class Spawn(_Message, frozen=True):
    """Start a node's process; the end of its control channel comes with this.

    ``python`` is another interpreter than the service's own, where one was asked for; without
    ``process_timeout_s`` its calls may take for ever.
    """

    node_id: str
    init_timeout_s: float
    process_timeout_s: float | None
    python: str | None
    allowance: Allowance = Allowance()


class Watch(_Message, frozen=True):
    """The host is blank no more, and must be ready in time; and then what holds for its nodes.

    ``allowance`` is what they may use together.
    """

    init_timeout_s: float
    process_timeout_s: float | None
    allowance: Allowance = Allowance()


class Limit(_Message, frozen=True):
    """What holds from now on for the calls of the one node that this supervisor has."""

    process_timeout_s: float | None


class Stop(_Message, frozen=True):
    """End all processes: ask, wait ``ask_s`` seconds, then the ladder.

    A session that is hosted says so of its nodes, and its owner of the host too.
    """

    ask_s: float


ToSupervisor: TypeAlias = Spawn | Watch | Limit | Stop


# From the supervisor to the session about its nodes, and to the owner about the host.


class Spawned(_Message, frozen=True):
    """A process runs; ``supervisor`` is the process that says so."""

    node_id: str
    pid: int
    supervisor: int


class NotSpawned(_Message, frozen=True):
    """A node's process could not be started."""

    node_id: str
    reason: str


class Output(_Message, frozen=True):
    """Lines that a node wrote to ``stream`` (``stdout`` or ``stderr``)."""

    node_id: str
    stream: str
    lines: list[str]


class Exited(_Message, frozen=True):
    """A process has ended; where it had to, ``overdue`` is what took it over ``limit_s``.

    ``busy`` are the places of those of its nodes that a call was going on in, innermost last;
    ``stacks`` is where it was, if it was asked; ``exceeded_bytes`` is the limit of memory that
    the kernel killed it for. ``cpu_ns`` and ``peak_memory_bytes`` are what it has used.
    """

    node_id: str
    pid: int
    exit_code: int | None
    signal: str | None
    stderr: str
    exceeded_bytes: int | None = None
    overdue: str = ""
    limit_s: float = 0.0
    busy: list[int] = msgspec.field(default_factory=list)
    stacks: str = ""
    cpu_ns: int = 0
    peak_memory_bytes: int = 0


class Stopped(_Message, frozen=True):
    """Everything that was to be stopped is gone."""


class NotSupervised(_Message, frozen=True):
    """There will be no supervisor: the zygote says so in its place, and why."""

    reason: str


OfProcess: TypeAlias = Spawned | NotSpawned | Output | Exited
FromSupervisor: TypeAlias = OfProcess | Stopped | NotSupervised


# From a program to its zygote.


class Supervise(_Message, frozen=True):
    """Fork a supervisor; the end of its channel comes with this.

    With ``host``, a module's name, it forks a session's host at once, whose control channel
    comes second, and which runs that module's ``main``; its ``prepare`` is called once before.
    """

    host: str | None = None


# From a host's owner and its supervisor's point of view.

HOST = "@host"
"""What a session's host is called where nodes have their IDs."""
