"""Runs nodes in processes of their own: the session's side of it.

Talks to the session's supervisor about processes, and to each node about its work.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from penstock.bridges import Lane, LaneSpec
from penstock.data import ExecutorType
from penstock.errors import (
    LaneClosedError,
    LaneError,
    NodeError,
    SupervisionError,
)
from penstock.executors.base import ExecutorEvents
from penstock.executors.multiprocess import messages, supervisor
from penstock.executors.multiprocess.channel import Channel
from penstock.executors.multiprocess.launcher import LAUNCHER
from penstock.executors.multiprocess.remote import Remote, allowance_of, foreign_python
from penstock.executors.multiprocess.reports import exit_error, failure_error
from penstock.executors.multiprocess.station import DEATH_NOTICE_S, Station
from penstock.executors.multiprocess.supervision import Supervision
from penstock.executors.multiprocess.transport import socket_pair
from penstock.executors.multiprocess.transport.frames import close_all
from penstock.executors.node_state import NodeState
from penstock.executors.statistics import NodeStatistics
from penstock.manifest import ManifestConfiguration
from penstock.planning import NodeAssignment

FIRST_NODE = 1
"""Owns the slabs of the first node's process; 0 is the session's process."""
MEASURE_S = 0.5
"""How long a busy node may take to tell its counters."""
SIGN_OF_LIFE_S = 2.0
"""How much later than its deadline a supervisor may tell of a node that missed it."""
LARGEST_FROM_NODE = 4 << 20
"""Bytes of the largest control message that a node's process may send."""


@dataclass(frozen=True, slots=True)
class WarmProcess:
    """A process that has set a node up, and the channels to its supervisor and to itself."""

    pid: int
    supervisor: socket.socket
    control: socket.socket


@dataclass(frozen=True, slots=True)
class Provided:
    """What is there for a session before it starts.

    Without a ``supervisor`` one is hired; for the nodes in ``warm``, by their IDs, processes
    have set them up and wait.
    """

    supervisor: socket.socket | None = None
    warm: Mapping[str, WarmProcess] = field(default_factory=dict)


NOTHING_PROVIDED = Provided()


class _NoSupervisorError(SupervisionError):
    """Nobody answered where a supervisor should be; nothing was started."""


class MultiprocessExecutor:
    """The ``NodeExecutor`` whose nodes have a process and a GIL each."""

    executor_type = ExecutorType.MULTIPROCESS

    def __init__(
        self,
        session_id: str,
        config: ManifestConfiguration,
        events: ExecutorEvents,
        pool_bytes: int,
        *,
        station: Station,
        provided: Provided = NOTHING_PROVIDED,
    ) -> None:
        """``pool_bytes`` is each node's share of memory."""
        self._session_id = session_id
        self._config = config
        self._events = events
        self._pool_bytes = pool_bytes
        self._station = station
        self._provided = provided
        self._event_loop = asyncio.get_running_loop()
        self._nodes: dict[str, Remote] = {}
        self._lanes: dict[int, Lane] = {}
        self._measuring: set[str] = set()
        self._measured = asyncio.Event()
        self._stopping = False
        self._supervisions: list[Supervision] = []

    async def start(self, nodes: Sequence[NodeAssignment]) -> None:
        try:
            await self._start(nodes, in_time=True)
        except _NoSupervisorError:  # the zygote died or is stuck: there is another now
            if self._provided.supervisor is not None:
                raise
            self._dismiss()
            await self._start(nodes, in_time=False)

    async def _start(self, nodes: Sequence[NodeAssignment], *, in_time: bool) -> None:
        """``in_time``: a zygote that forks nothing is replaced; the next has to start first."""
        own = self._hire()
        if in_time and self._provided.supervisor is None:
            own.expect_word()
        for owner, assignment in enumerate(nodes, start=FIRST_NODE):
            warm = self._provided.warm.get(assignment.node_id)
            remote = (
                self._spawn(own, owner, assignment)
                if warm is None
                else self._adopt(warm, owner, assignment)
            )
            remote.join(
                self._session_id,
                self._config,
                self._pool_bytes,
                epochs=self._station.epochs,
                traced=self._events.traces,
            )
        ready = [remote.ready for remote in self._nodes.values()]
        try:
            async with asyncio.timeout(self._config.init_timeout_secs + SIGN_OF_LIFE_S):
                await asyncio.gather(*ready)
        except TimeoutError:
            raise SupervisionError("its supervisor gives no sign of life") from None
        finally:
            for future in ready:
                future.cancel()

    def attach(self, node_id: str, lane: LaneSpec, sock: socket.socket, *, inbound: bool) -> None:
        """Give a node its end of a lane, and ``sock`` with it."""
        with sock:
            self._nodes[node_id].control.send(messages.AddLane(lane, inbound), [sock.fileno()])

    def track(self, lane: Lane) -> None:
        """Bring the lane's statistics up to date with what its remote ends report."""
        self._lanes[lane.spec.lane_id] = lane

    def begin(self) -> None:
        self._tell_all(messages.Run())

    def stop_producing(self) -> None:
        self._tell_all(messages.StopProducing())

    def interrupt(self, by: str) -> None:
        self._tell_all(messages.Interrupted(by))

    def set_state(self, node_id: str, state: NodeState) -> None:
        self._nodes[node_id].control.send(messages.SetState(state))

    def confirm(self, node_id: str, number: int) -> None:
        self._nodes[node_id].control.send(messages.Confirm(number))

    async def measure(self) -> None:
        """Ask every node; one that is busy keeps the counters it told last."""
        self._measuring = {node_id for node_id, node in self._nodes.items() if not node.gone}
        self._measured.clear()
        for node_id in self._measuring:
            self._nodes[node_id].statistics.waits_for = []  # who doesn't answer is at work
        for remote in self._nodes.values():
            if not remote.control.waiting:  # else it doesn't read, and has been asked before
                remote.control.send(messages.Measure())
        try:
            async with asyncio.timeout(MEASURE_S):
                while self._measuring:
                    await self._measured.wait()
                    self._measured.clear()
        except TimeoutError:
            return

    @property
    def statistics(self) -> Mapping[str, NodeStatistics]:
        return {node_id: remote.statistics for node_id, remote in self._nodes.items()}

    def pid(self, node_id: str) -> int:
        return self._nodes[node_id].pid

    async def stop(self, ask_s: float) -> None:
        self._stopping = True
        self._station.ending = True
        in_time = await asyncio.gather(*(one.stop(ask_s) for one in self._supervisions))
        if not all(in_time):
            said = f"its supervisor did not stop in {ask_s + supervisor.LADDER_S:g} s"
            self._events.faulted(SupervisionError(said))
        self._dismiss()

    def _hire(self) -> Supervision:
        if self._provided.supervisor is not None:
            return self._supervised(self._provided.supervisor)
        ours, theirs = socket_pair()
        with theirs:
            number = LAUNCHER.supervise(theirs)
        return self._supervised(ours, number)

    def _supervised(
        self, sock: socket.socket, number: int = 0, node_id: str | None = None
    ) -> Supervision:
        reactor = self._station.reactor
        on_message, on_gone = self._on_process, self._on_supervisor_gone
        one = Supervision(sock, reactor, on_message, on_gone, number=number, node_id=node_id)
        self._supervisions.append(one)
        return one

    def _spawn(self, supervision: Supervision, owner: int, assignment: NodeAssignment) -> Remote:
        ours, theirs = socket_pair()
        config = self._config
        remote = self._remote(assignment, owner, ours)
        remote.prepare(self._session_id, config)
        order = messages.Spawn(
            assignment.node_id,
            config.init_timeout_secs,
            config.process_timeout_secs,
            foreign_python(config),
            allowance_of(config, self._pool_bytes),
        )
        supervision.tell(order, theirs)
        return remote

    def _adopt(self, warm: WarmProcess, owner: int, assignment: NodeAssignment) -> Remote:
        """A process that has set the node up; it says no more that it is ready."""
        node_id, timeout_s = assignment.node_id, self._config.process_timeout_secs
        self._supervised(warm.supervisor, node_id=node_id).tell(messages.Limit(timeout_s))
        remote = self._remote(assignment, owner, warm.control)
        remote.pid = warm.pid
        remote.ready.set_result(None)
        self._events.progress(node_id, "ready", 1.0, "")
        return remote

    def _remote(self, assignment: NodeAssignment, owner: int, sock: socket.socket) -> Remote:
        node_id = assignment.node_id
        control: Channel[messages.FromNode] = Channel(
            sock,
            self._station.reactor,
            messages.FromNode,
            partial(self._on_node, node_id),
            partial(self._on_node_silent, node_id),
        )
        control.largest = LARGEST_FROM_NODE
        ready = self._event_loop.create_future()
        self._nodes[node_id] = remote = Remote(assignment, owner, control, ready)
        return remote

    def _tell_all(self, message: messages.ToNode) -> None:
        for remote in self._nodes.values():
            remote.control.send(message)

    def _on_process(self, message: messages.OfProcess) -> None:
        """What a supervisor says of a process."""
        remote = self._nodes[message.node_id]
        match message:
            case messages.Spawned():
                remote.pid = message.pid
            case messages.NotSpawned():
                reason = f"its process can't be started: {message.reason}"
                self._fail(remote, NodeError(message.node_id, reason))
            case messages.Output():
                if message.stream == "stderr":
                    remote.stderr.extend(message.lines)
                self._events.output(message.node_id, message.stream, message.lines)
            case messages.Exited():
                self._on_exit(message)

    def _on_supervisor_gone(self) -> None:
        if any(one.has_spoken for one in self._supervisions):
            self._fail(None, SupervisionError("its supervisor process has died"))
        else:
            why = "".join(f": {one.refusal}" for one in self._supervisions if one.refusal)
            self._fail(None, _NoSupervisorError(f"its supervisor could not be started{why}"))

    def _on_node(self, node_id: str, message: messages.FromNode, unwanted: list[int]) -> None:
        close_all(unwanted)
        remote = self._nodes[node_id]
        match message:
            case messages.Ready():
                self._events.progress(node_id, "ready", 1.0, "")
                if not remote.ready.done():
                    remote.ready.set_result(None)
            case messages.Failed():
                remote.failures.append(message)
                self._event_loop.call_later(DEATH_NOTICE_S, self._report_failure, remote)
            case messages.LaneBroken():
                error = LaneClosedError if message.peer_gone else LaneError
                self._station.broken(error(message.lane, message.message))
            case messages.Measured():
                self._record(node_id, message)
            case messages.Finished():
                self._record(node_id, message.last)
                self._events.finished(node_id)
            case _:
                self._pass_on(node_id, message)

    def _pass_on(self, node_id: str, message: messages.FromNode) -> None:
        """What the session wants to hear of."""
        events = self._events
        match message:
            case messages.Progress(stage, fraction, said):
                events.progress(node_id, stage, fraction, said)
            case messages.Interrupt(named):
                events.interrupt_wanted(node_id, named)
            case messages.Confirmed(number):
                events.confirmed(number)
            case messages.Hoarding(lane_id, held, held_bytes):
                events.hoarding(self._lanes[lane_id].spec, held, held_bytes)
            case messages.Traced(spans, lost):
                events.traced(node_id, self._nodes[node_id].pid, spans, lost)

    def _on_node_silent(self, node_id: str) -> None:
        """The supervisor tells how it ended; where it goes on without a word, nobody would."""
        remote = self._nodes[node_id]
        if (fault := remote.control.fault) is not None:
            self._break_off(remote, f"sent what is no control message: {fault}")
        elif not self._stopping:
            said = "closed its control channel, and didn't end"
            self._event_loop.call_later(DEATH_NOTICE_S, self._break_off, remote, said)

    def _break_off(self, remote: Remote, said: str) -> None:
        if not (remote.gone or self._stopping):
            self._fail(remote, NodeError(remote.node_id, f"its process {said}"))

    def _record(self, node_id: str, measured: messages.Measured) -> None:
        self._nodes[node_id].statistics = measured.node
        for lane_id, producer in measured.outbound.items():
            self._lanes[lane_id].reported_producer = producer
        for lane_id, consumer in measured.inbound.items():
            self._lanes[lane_id].reported_consumer = consumer
        self._measuring.discard(node_id)
        self._measured.set()

    def _on_exit(self, death: messages.Exited) -> None:
        remote = self._nodes[death.node_id]
        remote.control.drain()  # it may have said why
        remote.gone = True
        remote.used(death)
        self._measuring.discard(death.node_id)
        self._measured.set()
        if remote.failures:
            self._report_failure(remote)
        elif self._stopping and death.exit_code == 0:
            return  # as it was asked to
        else:
            self._fail(remote, exit_error(death))

    def _report_failure(self, remote: Remote) -> None:
        """A node's exception, with what it said last: at its exit, or when that takes long.

        A second one, of its ``teardown``, is recorded.
        """
        failures, remote.failures = remote.failures, []
        for number, failure in enumerate(failures):
            stderr = "\n".join(remote.stderr)
            limit = self._config.node_memory_bytes
            error = failure_error(remote.node_id, failure, stderr, limit)
            if number:
                self._events.faulted(error)
            else:
                self._fail(remote, error)

    def _fail(self, remote: Remote | None, error: NodeError | SupervisionError) -> None:
        if remote is not None and not remote.ready.done():
            self._events.progress(remote.node_id, "error", 0.0, str(error))
        waiting = [r for r in self._nodes.values() if not r.ready.done()]
        if waiting:
            waiting[0].ready.set_exception(error)
        else:
            self._events.failed(error)

    def _dismiss(self) -> None:
        """Let go of all of them: what was to be said of one later is of no concern."""
        for remote in self._nodes.values():
            remote.control.close()
            remote.gone = True
        while self._supervisions:
            self._supervisions.pop().close()
