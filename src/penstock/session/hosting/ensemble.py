"""A session's executors and lanes, where they are in a host: the front door's side of it.

Long JSON comes out of it as its text, a ``msgspec.Raw``: a service only passes it on.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence

from penstock.bridges import LaneSpec
from penstock.data import ExecutorType, passing_reader
from penstock.errors import PenstockError, SupervisionError
from penstock.executors.base import ExecutorEvents
from penstock.executors.multiprocess import messages as processes
from penstock.executors.multiprocess import supervisor
from penstock.executors.multiprocess.channel import Channel
from penstock.executors.multiprocess.executor import FIRST_NODE, MEASURE_S, SIGN_OF_LIFE_S
from penstock.executors.multiprocess.limits import unavailable
from penstock.executors.multiprocess.station import Station
from penstock.executors.multiprocess.supervision import Supervision
from penstock.executors.multiprocess.transport import socket_pair
from penstock.executors.multiprocess.transport.frames import close_all
from penstock.executors.node_state import NodeState
from penstock.executors.statistics import NodeStatistics, ProcessStatistics
from penstock.session.context import SessionExecutionContext
from penstock.session.cost import host_allowance
from penstock.session.gateway import Gateway
from penstock.session.hosting import messages
from penstock.session.hosting.deaths import host_error
from penstock.session.hosting.failures import as_error
from penstock.session.hosting.hosts import BlankHost, Hosts
from penstock.session.hosting.lanes import HostedLanes
from penstock.session.hosting.plans import encode_plan
from penstock.session.side_wiring import End, Gone, client_end

LARGEST_FROM_HOST = 16 << 20
"""Bytes of the largest control message that a host may send."""
ANSWER_S = 0.5
"""How long a host may take to answer that it stops, before it is taken for mute."""
FORCED_S = 0.15
"""How long a supervisor may take to kill all, once the time for its ladder has passed."""


class HostedRecords:
    """What one executor in the host tells of its nodes, as last measured."""

    def __init__(self, executor_type: ExecutorType) -> None:
        self.executor_type = executor_type
        self.records: dict[str, messages.NodeRecord] = {}

    @property
    def statistics(self) -> Mapping[str, NodeStatistics]:
        return {node_id: record.statistics for node_id, record in self.records.items()}

    def pid(self, node_id: str) -> int:
        return self.records[node_id].pid


class _NoHostError(SupervisionError):
    """A host was gone before it had the session; nothing was started."""


class HostedEnsemble:
    """The ``Ensemble`` in a host, of which only the client's ends of lanes are here.

    Each process may own ``pool_bytes`` of shared memory, this one and the host among them.
    ``events`` hear of progress where somebody ``listens``.
    """

    def __init__(
        self,
        context: SessionExecutionContext,
        gateway: Gateway,
        events: ExecutorEvents,
        pool_bytes: int,
        hosts: Hosts,
        *,
        listens: bool,
    ) -> None:
        self._context = context
        self._plan = context.plan
        self._events = events
        self.host: ProcessStatistics | None = None
        self._pool_bytes = pool_bytes
        self._hosts = hosts
        self._listens = listens
        self._by_executor = {
            kind: HostedRecords(kind)
            for kind in ExecutorType
            if kind is ExecutorType.NATIVE or kind in self._plan.executors
        }
        self._lanes = HostedLanes(context, gateway)
        self._measured = asyncio.Event()
        self._answered = asyncio.Event()
        self._heard = False
        self._stopping = False
        self._ready: asyncio.Future[None] | None = None
        self._station: Station | None = None
        self._control: Channel[messages.FromHost] | None = None
        self._supervision: Supervision | None = None

    @property
    def executors(self) -> list[HostedRecords]:
        return list(self._by_executor.values())

    async def start(self) -> None:
        config = self._plan.configuration
        owner = FIRST_NODE + len(self._plan.nodes)
        size = config.max_message_bytes
        epochs = self._context.epochs
        self._station = Station(
            owner, self._pool_bytes, size, self._events, epochs, read=passing_reader
        )
        try:
            await self._open(self._hosts.take(), in_time=True)
        except _NoHostError:  # it died as it was taken: there is another
            self._dismiss()
            await self._open(self._hosts.take(), in_time=False)
        for records in self.executors:
            self._context.bind(records)
        self._lanes.lay()

    def begin(self) -> None:
        self._tell(messages.Begin())

    def stop_producing(self) -> None:
        self._tell(messages.StopProducing())

    def interrupt(self, by: str) -> None:
        self._tell(messages.Interrupted(by))

    def lay(self, spec: LaneSpec, gone: Gone) -> End:
        assert self._station is not None  # noqa: S101  # made in start
        ours, theirs = socket_pair()
        with theirs:
            self._tell(messages.AddLane(spec), [theirs.fileno()])
        return client_end(self._station, spec, ours, gone)

    def release(self, end: End) -> None:
        if self._station is not None:
            self._station.release(end)

    def set_state(self, node_id: str, state: NodeState) -> None:
        self._tell(messages.SetState(node_id, state))

    def confirm(self, node_id: str, number: int) -> None:
        self._tell(messages.Confirm(node_id, number))

    async def measure(self) -> None:
        """Ask the host; where that is busy, what it told last holds."""
        if self._stopping:
            return
        self._measured.clear()
        for records in self.executors:
            for stats in records.statistics.values():
                stats.waits_for = []  # who doesn't answer is at work
        if self._control is not None and not self._control.waiting:  # else it doesn't read
            self._control.send(messages.Measure())
        try:
            async with asyncio.timeout(2 * MEASURE_S):
                await self._measured.wait()
        except TimeoutError:
            return

    async def stop(self, ask_s: float) -> None:
        self._stopping = True
        if self._station is None:
            return
        self._station.ending = True
        try:
            if self._supervision is not None:
                await self._end_host(self._supervision, ask_s)
            for line in (self._control, self._supervision):
                if line is not None:
                    line.drain()  # everything that was said last is heard
        finally:
            self._dismiss()
            self._station.close()

    async def _open(self, blank: BlankHost, *, in_time: bool) -> None:
        """``in_time``: a zygote that forks nothing is replaced; the next has to start first."""
        assert self._station is not None  # noqa: S101  # made in start
        reactor, loop = self._station.reactor, asyncio.get_running_loop()
        self._ready = ready = loop.create_future()
        self._answered.clear()  # by the end of a host that was gone
        self._supervision = Supervision(
            blank.supervisor,
            reactor,
            self._on_process,
            self._on_supervisor_gone,
            number=blank.number,
        )
        self._control = Channel(
            blank.control, reactor, messages.FromHost, self._on_host, self._on_host_mute
        )
        self._control.largest = LARGEST_FROM_HOST
        if in_time:
            self._supervision.expect_word()
        init_s = self._plan.configuration.init_timeout_secs
        process_s = self._plan.configuration.process_timeout_secs
        self._give_warm_nodes(self._control)
        allowance = host_allowance(self._plan, self._pool_bytes)
        watch = processes.Watch(init_s + SIGN_OF_LIFE_S, process_s, allowance)
        limited = allowance.memory_bytes is not None
        if limited:  # before it takes any
            self._supervision.tell(watch)
        epochs_fd = self._context.epochs.fd
        assert epochs_fd is not None  # noqa: S101  # hosts are told of a shared page
        self._control.send(self._order(), [epochs_fd])
        if not limited:
            self._supervision.tell(watch)
        try:
            async with asyncio.timeout(init_s + 2 * SIGN_OF_LIFE_S):
                await ready
        except TimeoutError:
            raise SupervisionError("its host gives no sign of life") from None

    def _order(self) -> messages.Open:
        return messages.Open(
            session_id=self._context.session_id,
            plan=encode_plan(self._plan),
            sys_path=[str(entry) for entry in sys.path],
            pool_bytes=self._pool_bytes,
            listens=self._listens,
            traced=self._events.traces,
        )

    def _give_warm_nodes(self, control: Channel[messages.FromHost]) -> None:
        """Processes that have set up nodes like some of these."""
        config = self._plan.configuration
        for node in self._plan.nodes:
            if node.executor is not ExecutorType.MULTIPROCESS:
                continue
            warm = self._hosts.warm.take(node, config, self._pool_bytes)
            if warm is not None:
                supervisor, its_control = warm.hand_over()
                with supervisor, its_control:
                    adopt = messages.Adopt(node.node_id, warm.pid)
                    control.send(adopt, [supervisor.fileno(), its_control.fileno()])

    async def _end_host(self, supervision: Supervision, ask_s: float) -> None:
        """Have the host stop its nodes and end; where it is mute or slow, have it ended."""
        self._tell(messages.Stop(ask_s))
        limit_s = ask_s + supervisor.LADDER_S
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._answered.wait()
        except TimeoutError:
            limit_s = 0.0
        if await supervision.has_stopped(limit_s):
            return
        if self._heard:  # else it had yet to begin
            self._events.faulted(SupervisionError("its host did not end by itself"))
        await supervision.stop(0.0, FORCED_S if limit_s else supervisor.LADDER_S)

    def _tell(self, message: messages.ToHost, descriptors: Sequence[int] = ()) -> None:
        if self._control is not None:
            self._control.send(message, descriptors)

    def _on_host(self, message: messages.FromHost, descriptors: list[int]) -> None:
        self._heard = True
        try:
            self._hear(message, descriptors)
        except (LookupError, ValueError) as exc:
            self._fail(SupervisionError(f"its host said what no host says: {exc}"))
        except OSError as exc:  # no descriptors left, say
            self._fail(unavailable(exc))
        finally:
            close_all(descriptors)

    def _hear(self, message: messages.FromHost, descriptors: list[int]) -> None:
        match message:
            case messages.ClientLanes() | messages.Ready() if self._is_given_up():
                return
            case messages.ClientLanes():
                assert self._station is not None  # noqa: S101  # made in start
                for lane_id in message.lane_ids:
                    self._lanes.connect(lane_id, self._station, descriptors)
            case messages.Ready():
                self._lanes.check()
                self._settle(None)
            case messages.Measured():
                self._record(message)
            case messages.Stopping():
                self._answered.set()
            case messages.Stopped():
                self._record(message.last)
            case _:
                self._pass_on(message)

    def _is_given_up(self) -> bool:
        """Whether nobody waits for it any more, though it isn't ready."""
        ready = self._ready
        return ready is not None and ready.done() and (ready.cancelled() or bool(ready.exception()))

    def _pass_on(self, event: messages.Event) -> None:
        """What an executor in the host tells its session."""
        events = self._events
        match event:
            case messages.Progress(node_id, stage, fraction, said):
                events.progress(node_id, stage, fraction, said)
            case messages.Output(node_id, stream, lines):
                events.output(node_id, stream, lines)
            case messages.Hoarding(lane_id, held, held_bytes):
                events.hoarding(self._lanes[lane_id], held, held_bytes)
            case messages.Traced(node_id, pid, spans, lost):
                events.traced(self._plan.node(node_id).node_id, pid, spans, lost)
            case messages.Interrupt(by, node_id):
                events.interrupt_wanted(by, node_id)
            case messages.Confirmed(number):
                events.confirmed(number)
            case messages.Finished(node_id):
                events.finished(node_id)
            case messages.Failed(failure, on_the_way_out=True):
                events.faulted(as_error(failure))
            case messages.Failed(failure):
                self._fail(as_error(failure))

    def _record(self, measured: messages.Measured) -> None:
        self.host = measured.host
        for node_id, record in measured.nodes.items():
            executor = self._plan.node(node_id).executor
            self._by_executor[executor].records[node_id] = record
        self._lanes.record(measured)
        self._measured.set()

    def _on_host_mute(self) -> None:
        """The supervisor tells how it ended; where it spoke rubbish, that is what failed."""
        if self._control is not None and (fault := self._control.fault) is not None:
            self._fail(SupervisionError(f"its host sent what is no control message: {fault}"))

    def _on_process(self, message: processes.OfProcess) -> None:
        match message:
            case processes.NotSpawned():
                self._fail(SupervisionError(f"its host can't be started: {message.reason}"))
            case processes.Output():
                self._events.output(message.node_id, message.stream, message.lines)
            case processes.Exited():
                self._on_exit(message)

    def _on_exit(self, death: processes.Exited) -> None:
        if self._control is not None:
            self._control.drain()  # whether it had begun, and what it said last
        self._wait_no_more()
        error = host_error(death, self._plan)
        if not (self._heard or death.overdue or death.busy):
            self._settle(_NoHostError(str(error)))
        elif not self._stopping:
            self._fail(error)

    def _on_supervisor_gone(self) -> None:
        self._wait_no_more()
        if self._stopping:
            return  # it was killed because it didn't end
        if self._heard:
            self._fail(SupervisionError("its supervisor process has died"))
        elif self._supervision is not None and self._supervision.refusal:
            refusal = self._supervision.refusal
            self._fail(_NoHostError(f"its supervisor could not be started: {refusal}"))
        else:
            self._fail(_NoHostError("its supervisor could not be started, or died at once"))

    def _wait_no_more(self) -> None:
        """Nobody is left to answer."""
        self._answered.set()
        self._measured.set()

    def _fail(self, error: PenstockError) -> None:
        if not self._settle(error):
            self._events.failed(error)

    def _settle(self, error: PenstockError | None) -> bool:
        """End the wait for the host to be ready; whether somebody waits."""
        ready = self._ready
        if ready is None or ready.done():
            return False
        if error is None:
            ready.set_result(None)
        else:
            ready.set_exception(error)
        return True

    def _dismiss(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._supervision is not None:
            self._supervision.close()
        self._control = self._supervision = None
