"""What an executor is to a session, and what a session is to an executor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from penstock.bridges import LaneSpec
from penstock.data import ExecutorType
from penstock.errors import PenstockError
from penstock.executors.node_state import NodeState
from penstock.executors.statistics import NodeStatistics
from penstock.executors.trail import NodeSpan
from penstock.planning import NodeAssignment


class ExecutorEvents(Protocol):
    """Told by executors, on the session's event loop.

    With ``traces`` they tell of the nodes' spans, too.
    """

    traces: bool

    def progress(self, node_id: str, stage: str, fraction: float, message: str) -> None:
        """A node's initialisation went on; stages are those of ``NodeProgress``."""

    def failed(self, error: PenstockError) -> None:
        """Something failed that ends the session; only the first failure counts."""

    def faulted(self, error: PenstockError) -> None:
        """Something went wrong that changes nothing any more: it is recorded."""

    def hoarding(self, lane: LaneSpec, held: int, held_bytes: int) -> None:
        """The target of a lane keeps so many payloads that it gets copies from now on."""

    def output(self, node_id: str, stream: str, lines: Sequence[str]) -> None:
        """A node wrote lines to ``stdout`` or ``stderr``."""

    def traced(self, node_id: str, pid: int, spans: Sequence[NodeSpan], lost: int) -> None:
        """Some spans of a node in process ``pid``; as many as ``lost`` were given up before."""

    def interrupt_wanted(self, by: str, node_id: str) -> None:
        """The node ``by`` wants what is downstream of ``node_id`` to be interrupted."""

    def confirmed(self, number: int) -> None:
        """A node has heeded everything that it was told before the ``confirm`` of that number."""

    def finished(self, node_id: str) -> None:
        """A node has processed and flushed everything, and its consumers have taken it."""


class NodeRecords(Protocol):
    """What is known of the nodes of one session that one executor runs."""

    executor_type: ExecutorType

    @property
    def statistics(self) -> Mapping[str, NodeStatistics]:
        """By node ID, as last measured."""

    def pid(self, node_id: str) -> int:
        """The process that the node runs in."""


class NodeExecutor(NodeRecords, Protocol):
    """Runs the nodes of one session that are assigned to it."""

    async def start(self, nodes: Sequence[NodeAssignment]) -> None:
        """Initialise all nodes at once; raises the first ``NodeError`` of one that fails."""

    def begin(self) -> None:
        """Let the nodes work; all lanes are there."""

    def stop_producing(self) -> None:
        """Have nodes without inputs come to their end."""

    def interrupt(self, by: str) -> None:
        """Have the nodes heed the page of epochs; ``by`` is the node that had asked, or empty."""

    def set_state(self, node_id: str, state: NodeState) -> None:
        """Have a node work on its inputs or not, from the next one on."""

    def confirm(self, node_id: str, number: int) -> None:
        """Tell by ``confirmed`` when a node has heeded what came before."""

    async def measure(self) -> None:
        """Bring ``statistics`` and those of the lanes up to date."""

    async def stop(self, ask_s: float) -> None:
        """End all nodes and release everything; within ``ask_s`` seconds of their own accord."""
