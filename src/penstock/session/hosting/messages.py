"""What a session's front door and its host tell each other."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from penstock.bridges import ConsumerStatistics, LaneSpec, ProducerStatistics
from penstock.executors.node_state import NodeState
from penstock.executors.statistics import NodeStatistics, ProcessStatistics
from penstock.executors.trail import NodeSpan
from penstock.session.hosting.failures import Failure


class _Message(msgspec.Struct, frozen=True, tag=True):
    """Told apart by the name of its class."""


# From the front door to the host.


class Adopt(_Message, frozen=True):
    """A process that has set a node up, before ``Open``; its two channels come with this."""

    node_id: str
    pid: int


class Open(_Message, frozen=True):
    """The session to be; ``plan`` is as ``encode_plan`` has it. Its page of epochs comes with this.

    ``sys_path`` is the service's, and taken over whole. ``Progress`` is told where somebody
    ``listens``, spans where the session is ``traced``.
    """

    session_id: str
    plan: bytes
    sys_path: list[str]
    pool_bytes: int
    listens: bool
    traced: bool = False


class Begin(_Message, frozen=True):
    """Let the nodes work."""


class StopProducing(_Message, frozen=True):
    """Nodes that produce should come to their end."""


class Interrupted(_Message, frozen=True):
    """The page of epochs says something new; ``by`` is the node that had asked for it, or empty."""

    by: str


class AddLane(_Message, frozen=True):
    """A lane to or from a node that is no part of the pipeline; the node's end comes with this."""

    spec: LaneSpec


class SetState(_Message, frozen=True):
    """Have a node work on its inputs or not."""

    node_id: str
    state: NodeState


class Confirm(_Message, frozen=True):
    """Answer with ``Confirmed`` when a node has heeded what came before."""

    node_id: str
    number: int


class Measure(_Message, frozen=True):
    """Answer with ``Measured``."""


class Stop(_Message, frozen=True):
    """Answer with ``Stopping`` at once; end all nodes, which have ``ask_s`` seconds; and end."""

    ask_s: float


ToHost: TypeAlias = (
    Adopt
    | Open
    | Begin
    | StopProducing
    | Interrupted
    | AddLane
    | SetState
    | Confirm
    | Measure
    | Stop
)


# From the host to the front door.


class ClientLanes(_Message, frozen=True):
    """The client's ends of some lanes of the plan come with this, as descriptors."""

    lane_ids: list[int]


class Ready(_Message, frozen=True):
    """All nodes are initialised and all lanes laid."""


class Progress(_Message, frozen=True):
    """How far a node's initialisation is; see ``penstock.session.NodeProgress``."""

    node_id: str
    stage: str
    fraction: float
    message: str


class Output(_Message, frozen=True):
    """Lines that a node wrote to ``stdout`` or ``stderr``."""

    node_id: str
    stream: str
    lines: list[str]


class Failed(_Message, frozen=True):
    """What ends the session, or, with ``on_the_way_out``, changes nothing any more."""

    failure: Failure
    on_the_way_out: bool


class Hoarding(_Message, frozen=True):
    """The target of a lane keeps so many payloads that it gets copies from now on."""

    lane_id: int
    held: int
    held_bytes: int


class Traced(_Message, frozen=True):
    """Some of a node's spans; as many as ``lost`` were given up before them."""

    node_id: str
    pid: int
    spans: list[NodeSpan]
    lost: int


class Interrupt(_Message, frozen=True):
    """The node ``by`` wants what is downstream of ``node_id`` to be interrupted."""

    by: str
    node_id: str


class Confirmed(_Message, frozen=True):
    """A node has heeded everything that came before ``Confirm``."""

    number: int


class Finished(_Message, frozen=True):
    """A node has processed and flushed everything."""

    node_id: str


class NodeRecord(msgspec.Struct, frozen=True):
    """The process that a node runs in, and what it has counted."""

    pid: int
    statistics: NodeStatistics


class Measured(_Message, frozen=True):
    """The host itself, all nodes by their IDs, and the lane ends that are not the client's.

    The latter by lane ID. The host's CPU time is what it has used for its session.
    """

    host: ProcessStatistics
    nodes: dict[str, NodeRecord]
    outbound: dict[int, ProducerStatistics]
    inbound: dict[int, ConsumerStatistics]


class Stopping(_Message, frozen=True):
    """``Stop`` was heard: whatever the nodes do, the host itself is well."""


class Stopped(_Message, frozen=True):
    """All nodes have ended; the host does now."""

    last: Measured


Event: TypeAlias = Progress | Output | Failed | Hoarding | Interrupt | Confirmed | Traced | Finished
"""What the host's executors tell their session."""
FromHost: TypeAlias = ClientLanes | Ready | Event | Measured | Stopping | Stopped
