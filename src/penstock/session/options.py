"""What a session is opened with, and what it tells while it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from penstock.executors.trail import NodeSpan
from penstock.manifest import Settings
from penstock.nodes import Catalogue, Node
from penstock.session.budget import Budget
from penstock.session.durations import Durations
from penstock.session.hosting.hosts import Hosts
from penstock.session.status import SessionStatus


@dataclass(frozen=True, slots=True)
class NodeProgress:
    """A node's initialisation: ``starting``, ``loading_model``, ``ready`` or ``error``.

    ``fraction`` is in [0, 1], ``elapsed_s`` since the session began to initialise.
    """

    node_id: str
    stage: str
    fraction: float
    message: str
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class NodeOutput:
    """A line that a node wrote to ``stdout`` or ``stderr``.

    Native nodes of a session that has a host share a process: ``node_id`` is ``@host`` there.
    """

    node_id: str
    stream: str
    line: str


@dataclass(frozen=True, slots=True)
class NodeSpans:
    """What a node did in process ``pid``; as many spans as ``lost`` were given up before these.

    Those of ``CLIENT`` are a session's own: an input's way into it, with the origin ``CLIENT``,
    and what the reader does with an output, whose origin is a sink.
    """

    node_id: str
    pid: int
    spans: Sequence[NodeSpan]
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Interruption:
    """What was downstream of ``node_id`` (None: of the client) has been stopped.

    ``by`` is the node that asked for it, None where it was the client. ``epoch`` counts the
    session's interrupts. What came from the ``sinks`` before it is stale: who plays that stops.
    """

    node_id: str | None
    by: str | None
    epoch: int
    sinks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How to run a manifest.

    ``nodes`` (classes, modules, module names, files) extend ``catalogue`` (default: what is
    installed). Sessions with one ``budget`` share its limits; without, ``settings.limits``
    bind this session alone, and with one ``durations`` they estimate by what they all have
    measured. With ``hosts`` the session's nodes and lanes are in a process of its own, taken
    from there. ``trusted`` says that whoever wrote the manifest may choose an
    interpreter by its path. ``max_memory_bytes`` bounds what the session's nodes, queues and
    shared memory take together, beyond what its processes begin with. The callbacks are called
    on the session's event loop; with ``on_spans`` all nodes keep a trail of what they do, and
    tell of it within a second or so of somebody asking for metrics. Raises ``TypeError`` for
    ``nodes`` that are no sequence, but one of them.
    """

    nodes: tuple[type[Node] | ModuleType | str | Path, ...] = ()
    catalogue: Catalogue | None = None
    settings: Settings = field(default_factory=Settings)
    budget: Budget | None = None
    durations: Durations = field(default_factory=Durations)
    trusted: bool = True
    session_id: str | None = None
    hosts: Hosts | None = None
    max_memory_bytes: int | None = None
    on_progress: Callable[[NodeProgress], None] | None = None
    on_output: Callable[[NodeOutput], None] | None = None
    on_status: Callable[[SessionStatus], None] | None = None
    on_spans: Callable[[NodeSpans], None] | None = None
    on_interrupt: Callable[[Interruption], None] | None = None

    def __post_init__(self) -> None:
        nodes: object = self.nodes
        if isinstance(nodes, str | Path | type | ModuleType):
            raise TypeError(f"nodes: expected a sequence of them, such as ({nodes!r},)")
