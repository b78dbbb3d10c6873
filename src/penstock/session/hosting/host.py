"""A session's host: the process that its native nodes, executors and lanes are in.

It is forked blank, by the session's supervisor, and waits for the session that it is to have.
The control channel leads to the front door, where the client's ends of lanes are. When that
ends, the process ends, and its supervisor ends it where it doesn't.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import time
from collections import Counter
from collections.abc import Sequence

import msgspec

from penstock.bridges import Epochs, LaneSpec
from penstock.data import CLIENT, ExecutorType
from penstock.errors import PenstockError, SupervisionError
from penstock.executors.calling import cut
from penstock.executors.multiprocess import worker
from penstock.executors.multiprocess.channel import MOST_DESCRIPTORS, Channel
from penstock.executors.multiprocess.executor import Provided, WarmProcess
from penstock.executors.multiprocess.limits import unavailable
from penstock.executors.multiprocess.reactor_loop import reactor_of
from penstock.executors.statistics import ProcessStatistics
from penstock.executors.trail import NodeSpan
from penstock.executors.vitals import OwnVitals
from penstock.nodes.catalogue import load
from penstock.nodes.importing import importing_nodes
from penstock.planning import NodeExecutionPlan
from penstock.session.context import SessionExecutionContext
from penstock.session.ensemble import LocalEnsemble, Surroundings
from penstock.session.gateway import Gateway
from penstock.session.hosting import messages
from penstock.session.hosting.failures import as_failure
from penstock.session.hosting.plans import decode_plan

DOOR_GONE_S = 0.2
"""How long nodes may take to end when there is nobody left to tell."""
LAST_WORDS_S = 1.0
"""How long the front door may take to read what it is told last."""


class Host:
    """One session in this process; its ``ExecutorEvents``, which it passes on."""

    def __init__(
        self,
        control: socket.socket,
        supervisor: socket.socket,
        leash: socket.socket,
        vitals: OwnVitals,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._control: Channel[messages.ToHost] = Channel(
            control, reactor_of(loop), messages.ToHost, self._on_message, self._on_door_gone
        )
        leash.setblocking(False)
        loop.add_reader(leash.fileno(), self._on_leash)
        self._leash = leash
        self._supervisor = supervisor
        self._vitals = vitals
        self._warm: dict[str, WarmProcess] = {}
        self._measuring: set[asyncio.Task[None]] = set()
        self._opened: asyncio.Future[messages.Open | None] = loop.create_future()
        self._stop: asyncio.Future[float] = loop.create_future()
        self._ensemble: LocalEnsemble | None = None
        self._context: SessionExecutionContext | None = None
        self._unfinished: set[str] = set()
        self._cpu_ns_before = 0
        self._client_ends: list[tuple[int, socket.socket]] = []
        self._listens = False
        self.traces = False
        self._lost_spans: Counter[str] = Counter()
        self._epochs_fd = -1

    async def run(self) -> None:
        """The process's whole life."""
        order = await self._opened
        if order is None:
            return  # it was never needed
        context, ensemble = self._make_session(order)
        starting = asyncio.create_task(self._start(ensemble, context.plan))
        ask_s = await self._stop
        starting.cancel()
        await asyncio.wait([starting])
        await ensemble.stop(ask_s)
        context.epochs.close()
        self._control.send(messages.Stopped(self._measured()))
        self._control.flush(LAST_WORDS_S)

    def progress(self, node_id: str, stage: str, fraction: float, message: str) -> None:
        if self._listens:
            self._control.send(messages.Progress(node_id, stage, fraction, cut(message)))

    def failed(self, error: PenstockError) -> None:
        self._control.send(messages.Failed(as_failure(error), on_the_way_out=False))

    def faulted(self, error: PenstockError) -> None:
        self._control.send(messages.Failed(as_failure(error), on_the_way_out=True))

    def hoarding(self, lane: LaneSpec, held: int, held_bytes: int) -> None:
        self._control.send(messages.Hoarding(lane.lane_id, held, held_bytes))

    def output(self, node_id: str, stream: str, lines: Sequence[str]) -> None:
        self._control.send(messages.Output(node_id, stream, list(lines)))

    def traced(self, node_id: str, pid: int, spans: Sequence[NodeSpan], lost: int) -> None:
        """Where the front door doesn't read, spans are given up: they must not pile up here."""
        if self._control.waiting:
            self._lost_spans[node_id] += lost + len(spans)
        else:
            lost += self._lost_spans.pop(node_id, 0)
            self._control.send(messages.Traced(node_id, pid, list(spans), lost))

    def interrupt_wanted(self, by: str, node_id: str) -> None:
        self._control.send(messages.Interrupt(by, node_id))

    def confirmed(self, number: int) -> None:
        self._control.send(messages.Confirmed(number))

    def finished(self, node_id: str) -> None:
        """With the last, what all have counted: whoever hears of the end may ask for it."""
        self._unfinished.discard(node_id)
        if not self._unfinished:
            self._control.send(self._measured())
        self._control.send(messages.Finished(node_id))

    def _make_session(self, order: messages.Open) -> tuple[SessionExecutionContext, LocalEnsemble]:
        self._cpu_ns_before = time.process_time_ns()
        sys.path[:] = order.sys_path
        self._listens = order.listens
        self.traces = order.traced
        plan = decode_plan(order.plan)
        epochs = Epochs.behind(self._epochs_fd, plan.slots)
        context = SessionExecutionContext(order.session_id, plan, epochs=epochs)
        provided = Provided(self._supervisor, self._warm)
        around = Surroundings(self._give_lane, provided, self._vitals)
        ensemble = LocalEnsemble(context, Gateway(), self, order.pool_bytes, around)
        self._context, self._ensemble = context, ensemble
        self._unfinished = set(context.plan.order)
        return context, ensemble

    async def _start(self, ensemble: LocalEnsemble, plan: NodeExecutionPlan) -> None:
        try:
            _import_nodes(plan)
            await ensemble.start()
        except PenstockError as exc:
            self.failed(exc)
        except OSError as exc:
            self.failed(unavailable(exc))
        except Exception as exc:  # noqa: BLE001  # whatever it is, the front door must hear of it
            self.failed(SupervisionError(f"its host can't initialise it: {exc!r}"))
        else:
            self._send_client_ends()
            self._leash.send(worker.READY)
            self._control.send(messages.Ready())

    def _give_lane(self, spec: LaneSpec, sock: socket.socket) -> None:
        self._client_ends.append((spec.lane_id, sock))
        if len(self._client_ends) == MOST_DESCRIPTORS:
            self._send_client_ends()

    def _send_client_ends(self) -> None:
        """As few messages as there can be: each wakes the front door."""
        ends, self._client_ends = self._client_ends, []
        if not ends:
            return
        lane_ids = [lane_id for lane_id, _ in ends]
        self._control.send(messages.ClientLanes(lane_ids), [sock.fileno() for _, sock in ends])
        for _, sock in ends:
            sock.close()

    def _on_message(self, message: messages.ToHost, descriptors: list[int]) -> None:
        match message:
            case messages.Adopt():
                supervisor, control = (socket.socket(fileno=fd) for fd in descriptors)
                self._warm[message.node_id] = WarmProcess(message.pid, supervisor, control)
            case messages.Open():
                self._epochs_fd = descriptors[0]
                self._opened.set_result(message)
            case messages.Stop():
                self._control.send(messages.Stopping())
                self._stop_within(message.ask_s)
            case messages.AddLane() if self._ensemble is not None:
                self._ensemble.connect(message.spec, socket.socket(fileno=descriptors[0]))
            case _ if self._ensemble is not None:
                self._steer(self._ensemble, message)

    def _steer(self, ensemble: LocalEnsemble, message: messages.ToHost) -> None:
        """What the session wants of its nodes."""
        match message:
            case messages.Begin():
                ensemble.begin()
            case messages.StopProducing():
                ensemble.stop_producing()
            case messages.Interrupted():
                ensemble.interrupt(message.by)
            case messages.SetState():
                ensemble.set_state(message.node_id, message.state)
            case messages.Confirm():
                ensemble.confirm(message.node_id, message.number)
            case messages.Measure():
                measuring = asyncio.create_task(self._measure(ensemble))
                self._measuring.add(measuring)
                measuring.add_done_callback(self._measuring.discard)

    async def _measure(self, ensemble: LocalEnsemble) -> None:
        await ensemble.measure()
        self._control.send(self._measured())

    def _measured(self) -> messages.Measured:
        """What is known here: the client's ends of its lanes are counted where they are."""
        if self._ensemble is None or self._context is None:
            return messages.Measured(self._own(), {}, {}, {})
        nodes = {
            node_id: messages.NodeRecord(executor.pid(node_id), stats)
            for executor in self._ensemble.executors
            for node_id, stats in executor.statistics.items()
        }
        lanes = [ln for bridge in self._context.data_bridges for ln in bridge.lanes.values()]
        outbound = {ln.spec.lane_id: ln.producer for ln in lanes if ln.spec.source != CLIENT}
        inbound = {ln.spec.lane_id: ln.consumer for ln in lanes if ln.spec.target != CLIENT}
        return messages.Measured(self._own(), nodes, outbound, inbound)

    def _own(self) -> ProcessStatistics:
        own = ProcessStatistics.own()
        return msgspec.structs.replace(own, cpu_ns=own.cpu_ns - self._cpu_ns_before)

    def _on_door_gone(self) -> None:
        self._stop_within(DOOR_GONE_S)

    def _on_leash(self) -> None:
        """The supervisor says stop, or is gone."""
        with contextlib.suppress(ConnectionResetError):  # our word is unread: it is gone
            self._leash.recv(len(worker.STOP))
        asyncio.get_running_loop().remove_reader(self._leash.fileno())
        self._stop_within(DOOR_GONE_S)

    def _stop_within(self, ask_s: float) -> None:
        if not self._opened.done():
            self._opened.set_result(None)
        if not self._stop.done():
            self._stop.set_result(ask_s)


def _import_nodes(plan: NodeExecutionPlan) -> None:
    """The classes that run here; a script that has some must not be run as one."""
    with importing_nodes():
        for node in plan.nodes:
            if node.executor is ExecutorType.NATIVE:
                load(node.provider)
