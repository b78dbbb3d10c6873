"""What a session knows of a node that runs in another process."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from dataclasses import dataclass, field

from penstock.bridges import Epochs
from penstock.executors.multiprocess import messages
from penstock.executors.multiprocess.channel import Channel
from penstock.executors.multiprocess.child import LAST_WORDS
from penstock.executors.multiprocess.interpreter import own_path
from penstock.executors.multiprocess.limits import Allowance
from penstock.executors.statistics import NodeStatistics
from penstock.manifest import ManifestConfiguration
from penstock.planning import NodeAssignment


@dataclass(slots=True)
class Remote:
    """A node's process: what it is to run, the channel to it, and what it told last.

    ``owner`` makes the IDs of its slabs unique in the session.
    """

    assignment: NodeAssignment
    owner: int
    control: Channel[messages.FromNode]
    ready: asyncio.Future[None]
    pid: int = 0
    gone: bool = False
    failures: list[messages.Failed] = field(default_factory=list)
    statistics: NodeStatistics = field(default_factory=NodeStatistics)
    stderr: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_WORDS))

    @property
    def node_id(self) -> str:
        return self.assignment.node_id

    def prepare(self, session_id: str, config: ManifestConfiguration) -> None:
        """Tell the process, before all else, what it is to run."""
        self.control.send(prepare_order(self.assignment, config, session_id))

    def join(
        self,
        session_id: str,
        config: ManifestConfiguration,
        pool_bytes: int,
        *,
        epochs: Epochs,
        traced: bool,
    ) -> None:
        """Make the node one of the session, with ``pool_bytes`` of shared memory."""
        order = messages.Join(
            session_id=session_id,
            node_id=self.node_id,
            emits=self.assignment.emits,
            owner=self.owner,
            pool_bytes=pool_bytes,
            max_message_bytes=config.max_message_bytes,
            slot=epochs.slots[self.node_id],
            traced=traced,
        )
        assert epochs.fd is not None  # noqa: S101  # with processes, the page is shared
        self.control.send(order, [epochs.fd])

    def used(self, death: messages.Exited) -> None:
        """What the kernel knows of its process, which may have been killed before it told more."""
        stats = self.statistics
        stats.cpu_ns = max(stats.cpu_ns, death.cpu_ns)
        stats.peak_memory_bytes = max(stats.peak_memory_bytes, death.peak_memory_bytes)


def prepare_order(
    node: NodeAssignment, config: ManifestConfiguration, session_id: str
) -> messages.Prepare:
    """What a process is told to set a node up."""
    same = foreign_python(config) is None
    return messages.Prepare(
        session_id=session_id,
        node_id=node.node_id,
        provider=node.provider,
        params=dict(node.params),
        sys_path=[str(entry) for entry in (sys.path if same else own_path())],
        whole_path=same,
    )


def allowance_of(config: ManifestConfiguration, pool_bytes: int) -> Allowance:
    """What a node's process may use."""
    return Allowance(config.node_memory_bytes, pool_bytes, config.open_files)


def foreign_python(config: ManifestConfiguration) -> str | None:
    """The interpreter of the session's nodes, where it is another than this one."""
    wished = str(config.python_executable)
    return None if wished == sys.executable else wished
