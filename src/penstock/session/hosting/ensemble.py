"""A session's executors and lanes, where they are in a host: the front door's side of it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping

from penstock.bridges import ConsumerEnd, Lane, LaneSpec, ProducerEnd
from penstock.data import CLIENT, ExecutorType
from penstock.errors import PenstockError, SupervisionError
from penstock.executors.base import ExecutorEvents
from penstock.executors.multiprocess import messages as processes
from penstock.executors.multiprocess import supervisor
from penstock.executors.multiprocess.channel import Channel
from penstock.executors.multiprocess.executor import FIRST_NODE, MEASURE_S, SIGN_OF_LIFE_S
from penstock.executors.multiprocess.station import Station
from penstock.executors.multiprocess.transport.frames import close_all
from penstock.executors.statistics import NodeStatistics
from penstock.session.context import SessionExecutionContext
from penstock.session.gateway import Gateway
from penstock.session.hosting import messages
from penstock.session.hosting.deaths import host_error
from penstock.session.hosting.failures import as_error
from penstock.session.hosting.hosts import BlankHost, Hosts
from penstock.session.hosting.plans import encode_plan
from penstock.session.wiring import executor_of, lane_specs

ANSWER_S = 0.5
"""How long a host may take to answer that it stops, before it is taken for mute."""


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
    """

    def __init__(
        self,
        context: SessionExecutionContext,
        gateway: Gateway,
        events: ExecutorEvents,
        pool_bytes: int,
        hosts: Hosts,
    ) -> None:
        self._context = context
        self._plan = context.plan
        self._gateway = gateway
        self._events = events
        self._pool_bytes = pool_bytes
        self._hosts = hosts
        self._by_executor = {
            kind: HostedRecords(kind)
            for kind in ExecutorType
            if kind is ExecutorType.NATIVE or kind in self._plan.executors
        }
        self._specs = {spec.lane_id: spec for spec in lane_specs(self._plan)}
        self._lanes: dict[int, Lane] = {}
        self._inlets: dict[int, ProducerEnd] = {}
        self._outlets: dict[int, ConsumerEnd] = {}
        self._measured = asyncio.Event()
        self._answered = asyncio.Event()
        self._gone = asyncio.Event()
        self._heard = False
        self._stopping = False
        self._pid = 0
        self._supervisor_pid = 0
        self._ready: asyncio.Future[None] | None = None
        self._station: Station | None = None
        self._control: Channel[messages.FromHost] | None = None
        self._supervisor: Channel[processes.FromSupervisor] | None = None

    @property
    def executors(self) -> list[HostedRecords]:
        return list(self._by_executor.values())

    async def start(self) -> None:
        config = self._plan.configuration
        owner = FIRST_NODE + len(self._plan.nodes)
        size = config.max_message_bytes
        self._station = Station(owner, self._pool_bytes, size, self._events)
        try:
            await self._open(self._hosts.take())
        except _NoHostError:  # it died as it was taken: there is another
            self._dismiss()
            await self._open(self._hosts.take())
        finally:
            self._hosts.refill()
        for records in self.executors:
            self._context.bind(records)
        for spec in self._specs.values():
            self._lay(spec)

    def begin(self) -> None:
        self._tell(messages.Begin())

    def stop_producing(self) -> None:
        self._tell(messages.StopProducing())

    async def measure(self) -> None:
        """Ask the host; where that is busy, what it told last holds."""
        if self._stopping:
            return
        self._measured.clear()
        for records in self.executors:
            for stats in records.statistics.values():
                stats.waits_for = []  # who doesn't answer is at work
        self._tell(messages.Measure())
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
        if self._supervisor is not None:
            await self._end_host(ask_s)
            while self._station.reactor.poll(0):
                pass  # what the host said last
        self._dismiss()
        self._station.close()

    async def _open(self, blank: BlankHost) -> None:
        assert self._station is not None  # noqa: S101  # made in start
        reactor, loop = self._station.reactor, asyncio.get_running_loop()
        self._gone.clear()
        self._ready = ready = loop.create_future()
        self._supervisor = Channel(
            blank.supervisor,
            reactor,
            processes.FromSupervisor,
            self._on_supervisor,
            self._on_supervisor_gone,
        )
        self._control = Channel(
            blank.control, reactor, messages.FromHost, self._on_host, self._on_host_mute
        )
        init_s = self._plan.configuration.init_timeout_secs
        process_s = self._plan.configuration.process_timeout_secs
        self._supervisor.send(processes.Watch(init_s + SIGN_OF_LIFE_S, process_s))
        path = [str(entry) for entry in sys.path]
        plan = encode_plan(self._plan)
        self._control.send(messages.Open(self._context.session_id, plan, path, self._pool_bytes))
        try:
            async with asyncio.timeout(init_s + 2 * SIGN_OF_LIFE_S):
                await ready
        except TimeoutError:
            raise SupervisionError("its host gives no sign of life") from None

    def _lay(self, spec: LaneSpec) -> None:
        """Know a lane of which the client has one end, or neither."""
        number = spec.lane_id
        lane = Lane(spec, self._inlets.get(number), self._outlets.get(number))
        source, target = executor_of(self._plan, spec.source), executor_of(self._plan, spec.target)
        self._context.bridge(lane, source, target)
        self._lanes[number] = lane

    def _connect(self, spec: LaneSpec, sock: socket.socket) -> None:
        """The client's end of one of its lanes."""
        assert self._station is not None  # noqa: S101  # made in start
        if spec.source == CLIENT:
            self._inlets[spec.lane_id] = inlet = self._station.sender(spec, sock)
            self._gateway.add_inlet(spec.target, inlet)
        else:
            self._outlets[spec.lane_id] = outlet = self._station.receiver(spec, sock)
            self._gateway.add_outlet(spec.source, outlet)

    async def _end_host(self, ask_s: float) -> None:
        """Have the host stop its nodes and end; where it is mute or slow, have it ended."""
        self._tell(messages.Stop(ask_s))
        ladder_s = ask_s + supervisor.LADDER_S
        await self._within(ANSWER_S, self._answered)
        if self._answered.is_set():
            await self._within(ladder_s, self._gone)
        if self._gone.is_set():
            return
        self._events.faulted(SupervisionError("its host did not end by itself"))
        if self._supervisor is not None:
            self._supervisor.send(processes.Stop(0.0))
        await self._within(2 * supervisor.KILL_S, self._gone)
        if not self._gone.is_set() and self._supervisor_pid:
            os.kill(self._supervisor_pid, signal.SIGKILL)  # everything below dies with it

    async def _within(self, limit_s: float, event: asyncio.Event) -> None:
        """Wait for it, but not for ever."""
        try:
            async with asyncio.timeout(limit_s):
                await event.wait()
        except TimeoutError:
            return

    def _tell(self, message: messages.ToHost) -> None:
        if self._control is not None:
            self._control.send(message)

    def _on_host(self, message: messages.FromHost, descriptors: list[int]) -> None:
        self._heard = True
        match message:
            case messages.ClientLane() if descriptors:
                sock = socket.socket(fileno=descriptors.pop())
                self._connect(self._specs[message.lane_id], sock)
            case messages.Ready():
                self._settle(None)
            case messages.Measured():
                self._record(message)
            case messages.Stopping():
                self._answered.set()
            case messages.Stopped():
                self._record(message.last)
            case messages.ClientLane():
                self._fail(SupervisionError("its host gave it a lane without an end"))
            case _:
                self._pass_on(message)
        close_all(descriptors)

    def _pass_on(self, event: messages.Event) -> None:
        """What an executor in the host tells its session."""
        events = self._events
        match event:
            case messages.Progress(node_id, stage, fraction, said):
                events.progress(node_id, stage, fraction, said)
            case messages.Output(node_id, stream, lines):
                events.output(node_id, stream, lines)
            case messages.Hoarding(lane_id, held, held_bytes):
                events.hoarding(self._specs[lane_id], held, held_bytes)
            case messages.Finished(node_id):
                events.finished(node_id)
            case messages.Failed(failure, on_the_way_out=True):
                events.faulted(as_error(failure))
            case messages.Failed(failure):
                self._fail(as_error(failure))

    def _record(self, measured: messages.Measured) -> None:
        for node_id, record in measured.nodes.items():
            executor = self._plan.node(node_id).executor
            self._by_executor[executor].records[node_id] = record
        for lane_id, producer in measured.outbound.items():
            self._lanes[lane_id].reported_producer = producer
        for lane_id, consumer in measured.inbound.items():
            self._lanes[lane_id].reported_consumer = consumer
        self._measured.set()

    def _on_host_mute(self) -> None:
        """The supervisor tells how it ended; where it spoke rubbish, that is what failed."""
        if self._control is not None and (fault := self._control.fault) is not None:
            self._fail(SupervisionError(f"its host sent what is no control message: {fault}"))

    def _on_supervisor(self, message: processes.FromSupervisor, descriptors: list[int]) -> None:
        close_all(descriptors)
        match message:
            case processes.Spawned():
                self._supervisor_pid = message.supervisor
            case processes.NotSpawned():
                self._fail(SupervisionError(f"its host can't be started: {message.reason}"))
            case processes.Output():
                self._events.output(message.node_id, message.stream, message.lines)
            case processes.Exited():
                self._on_exit(message)
            case processes.Stopped():
                self._set_gone()

    def _on_exit(self, death: processes.Exited) -> None:
        self._answered.set()
        if not self._heard and not death.overdue:
            self._settle(_NoHostError("its host was gone before it had begun"))
        elif not self._stopping:
            self._fail(host_error(death, self._plan))

    def _on_supervisor_gone(self) -> None:
        if not self._gone.is_set():
            self._set_gone()
            kind = SupervisionError if self._heard else _NoHostError
            self._fail(kind("its supervisor process has died"))

    def _set_gone(self) -> None:
        """Nobody is left to answer."""
        self._gone.set()
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
        for channel in (self._control, self._supervisor):
            if channel is not None:
                channel.close()
        self._control = self._supervisor = None
