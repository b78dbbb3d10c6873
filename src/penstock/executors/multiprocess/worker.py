"""A node's process: one node, its lanes, and two lines to those who watch over it.

The control channel leads to the session, the leash to the supervisor. When either ends, or
the leash says stop, the process ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.bridges import NO_EPOCHS, Epochs, Purpose
from penstock.errors import ConfigurationError, LaneClosedError, LaneError
from penstock.executors.calling import (
    Caller,
    NodeFault,
    call_here,
    call_plain,
    cut,
    describe_fault,
    is_async,
    is_async_method,
    is_the_nodes,
)
from penstock.executors.concurrent_loop import loop_class
from penstock.executors.identity import Identity
from penstock.executors.multiprocess import kernel, messages
from penstock.executors.multiprocess.channel import Channel
from penstock.executors.multiprocess.limits import allow_last_words
from penstock.executors.multiprocess.pumps import PlainPump, ReactorPump
from penstock.executors.multiprocess.transport import DataPlane, LaneReceiver, Reactor
from penstock.executors.node_loop import NodeLoop
from penstock.executors.pulse import Pulse
from penstock.executors.pump import Pump
from penstock.executors.statistics import NodeStatistics, ProcessStatistics
from penstock.executors.trail import NodeSpan, Trail
from penstock.executors.vitals import OwnVitals
from penstock.executors.whereabouts import answer_with_stacks
from penstock.nodes import Node
from penstock.nodes.base import make_context
from penstock.nodes.catalogue import load
from penstock.nodes.importing import importing_nodes

READY = b"ready"
STOP = b"stop"
LAST_WORDS_S = 1.0
RESERVE_BYTES = 4 << 20
"""Kept back by a node's process, so that there is memory to say that there is none. Nothing is
written there, so that it takes none."""


class _Stopped(BaseException):
    """The supervisor wants this process to end."""


class Worker:
    """Everything in a node's process; also the node's ``Host``."""

    def __init__(self, control: socket.socket, leash: socket.socket, pulse: Pulse) -> None:
        self.reactor = Reactor()
        self._control: Channel[messages.ToNode] = Channel(
            control, self.reactor, messages.ToNode, self._on_message, self._stop
        )
        self._pulse = pulse
        self._leash = leash
        leash.setblocking(False)
        self.reactor.register(leash.fileno(), self._on_leash)
        self._order: messages.Prepare | None = None
        self._session: messages.Join | None = None
        self._epochs = NO_EPOCHS
        self._node: Node | None = None
        self._is_set_up = False
        self._plane: DataPlane | None = None
        self._loop: NodeLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._call: Caller = call_plain
        self._pump: Pump = PlainPump(self)
        self._lost_spans = 0
        self._running = False
        self._finished = False
        self._stopping = False
        self._reserve = mmap.mmap(-1, RESERVE_BYTES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)

    def run(self) -> None:
        """The process's whole life."""
        try:
            order = self._wait_for_order()
            node_class = self._load(order)
            life = self._live(order, node_class)
            if is_async(node_class):
                _run_in_loop(life)
            else:
                _run_plain(life)
        except (_Stopped, asyncio.CancelledError):
            pass  # it was told to end, or has said why; what a node cancels itself is its failure
        except MemoryError as exc:  # there was none left to report the first one
            self._fail("process", exc)
        finally:
            self._say_last_words()

    def check(self) -> None:
        """Raise where the process should end."""
        if self._stopping:
            raise _Stopped

    def progress(self, fraction: float, message: str) -> None:
        self._control.send(messages.Progress("loading_model", fraction, cut(message)))

    def allocate(self, nbytes: int) -> NDArray[np.uint8]:
        """From shared memory while there is some, else from the heap, to be copied later."""
        root = self._plane.arena.allocate(nbytes) if self._plane else None
        return np.empty(nbytes, dtype=np.uint8) if root is None else root

    def stopping(self) -> bool:
        return self._stopping or (self._loop is not None and not self._loop.producing)

    def turn(self) -> int:
        return 0 if self._loop is None else self._loop.turn.newest

    def interrupt(self, node_id: str) -> None:
        if self._loop is not None:
            self._loop.turn.asked += 1
            self._control.send(messages.Interrupt(node_id))

    def _wait_for_order(self) -> messages.Prepare:
        while self._order is None:
            self.reactor.poll(None)
            self.check()
        return self._order

    def _load(self, order: messages.Prepare) -> type[Node]:
        if order.whole_path:
            sys.path[:] = order.sys_path
        else:
            sys.path += [entry for entry in order.sys_path if entry not in sys.path]
        self._control.send(messages.Progress("starting", 0.0, ""))
        try:
            with importing_nodes():
                return load(order.provider)
        except ConfigurationError as exc:
            self._fail("setup", exc)
            raise _Stopped from exc

    async def _live(self, order: messages.Prepare, node_class: type[Node]) -> None:
        self._pump = pump = self._make_pump(node_class)
        try:
            if await self._set_up(order, node_class) and await self._work(pump):
                while True:
                    await pump.idle()
        finally:
            if self._node is not None:
                await self._tear_down(self._node)

    def _make_pump(self, node_class: type[Node]) -> Pump:
        if not is_async(node_class):
            return self._pump
        self._task = asyncio.current_task()
        self._call = call_here
        pump = ReactorPump(self)
        self.reactor.watched = True
        asyncio.get_running_loop().add_reader(self.reactor.fileno(), pump.ready)
        return pump

    async def _set_up(self, order: messages.Prepare, node_class: type[Node]) -> bool:
        """Make the node ready for its first input; False where that failed and was reported."""
        self._control.send(messages.Progress("loading_model", 0.0, ""))
        context = make_context(node_class, order.node_id, order.session_id, self)
        try:
            self._node = node_class(node_class.Params.model_validate(order.params), context)
            with self._pulse.during("setup"):
                await self._call(self._node.setup)
        except (Exception, asyncio.CancelledError) as exc:  # whatever its author let through
            if not is_the_nodes(exc):
                raise
            self._fail("setup", exc)
            return False
        self._is_set_up = True
        self._join()
        self._leash.send(READY)
        self._control.send(messages.Ready())
        return True

    def _join(self) -> None:
        """Be one of the session's nodes, once that is known and the node is set up."""
        session, node = self._session, self._node
        if session is None or node is None or not self._is_set_up:
            return
        node.ctx.enter(session.node_id, session.session_id)
        kernel.name_process(f"pn:{session.node_id}")
        self._plane = DataPlane(
            self.reactor,
            session.owner,
            session.pool_bytes,
            session.max_message_bytes,
            self._on_broken,
            epochs=self._epochs,
        )
        self._plane.on_hoarding = self._on_hoarding
        identity = Identity(session.node_id, session.emits, self._epochs, session.slot)
        direct = not is_async_method(type(node), "process")
        make_loop = loop_class(type(node))
        self._loop = make_loop(node, identity, self._pump, self._call, self._pulse, direct=direct)
        if session.traced:
            self._loop.trail = Trail(self._tell_spans)

    async def _work(self, pump: Pump) -> bool:
        """Run the node to its end, or report why it ended early; whether it reached it."""
        try:
            while self._loop is None or not self._running:
                await pump.idle()
            await self._loop.run()
        except NodeFault as fault:
            self._fail(fault.during, fault.__cause__)
            return False
        except LaneError as exc:
            self._on_broken(exc)
            return False
        except MemoryError as exc:  # the node's; there was none left to say so with
            self._fail("process", exc)
            return False
        self._control.send(messages.Finished(self._measured()))
        self._finished = True
        return True

    async def _tear_down(self, node: Node) -> None:
        while self._task is not None and self._task.uncancel():
            continue  # that it was told to end has been heeded
        try:
            with self._pulse.during("teardown"):
                await self._call(node.teardown)
        except (Exception, asyncio.CancelledError) as exc:  # whatever its author let through
            if not is_the_nodes(exc):
                raise
            self._fail("teardown", exc)

    def _on_message(self, message: messages.ToNode, descriptors: list[int]) -> None:
        match message:
            case messages.Prepare():
                self._order = message
            case messages.Join():
                self._session = message
                self._epochs = Epochs.behind(descriptors[0])
                self._epochs.close()
                self._join()
            case messages.AddLane():
                self._add_lane(message, socket.socket(fileno=descriptors[0]))
            case messages.Run():
                self._running = True
            case messages.Confirm():
                self._control.send(messages.Confirmed(message.number))
            case messages.Measure():
                self._control.send(self._measured())
            case _ if self._loop is not None:
                self._steer(self._loop, message)

    def _steer(self, loop: NodeLoop, message: messages.ToNode) -> None:
        """What changes how the node goes on."""
        match message:
            case messages.StopProducing():
                loop.stop_producing()
            case messages.Interrupted():
                self._note_interrupt(message.by)
            case messages.SetState():
                loop.state = message.state

    def _add_lane(self, message: messages.AddLane, sock: socket.socket) -> None:
        assert self._plane is not None  # noqa: S101  # lanes come to a node that has joined
        assert self._loop is not None  # noqa: S101  # the same
        if message.spec.purpose is not Purpose.EDGE:
            self._add_side_lane(self._plane, self._loop, message, sock)
        elif message.inbound:
            self._loop.inputs.append(self._plane.receiver(message.spec, sock))
        else:
            self._loop.outputs.append(self._plane.sender(message.spec, sock))

    def _add_side_lane(
        self, plane: DataPlane, loop: NodeLoop, message: messages.AddLane, sock: socket.socket
    ) -> None:
        """One that comes to its end as soon as its other end is gone, and nobody's failure."""

        def remove() -> None:
            loop.detach(end)
            end.close()

        make = plane.receiver if message.inbound else plane.sender
        try:
            end = make(message.spec, sock, lambda _error: self.reactor.defer(remove))
        except OSError:  # the node has all files open that it may: its pipeline goes on
            sock.close()
        else:
            loop.attach(end)

    def _note_interrupt(self, by: str) -> None:
        if self._loop is not None and self._session is not None:
            self._loop.turn.answered += by == self._session.node_id
            self._loop.interrupt()

    def _measured(self) -> messages.Measured:
        if self._loop is None:
            return messages.Measured(NodeStatistics(), {}, {})
        self._flush_trail()
        stats, own = self._loop.measured(), ProcessStatistics.own()
        stats.cpu_ns, stats.peak_memory_bytes = own.cpu_ns, own.peak_memory_bytes
        return messages.Measured(
            stats,
            {end.spec.lane_id: end.statistics() for end in self._loop.outputs},
            {end.spec.lane_id: end.statistics() for end in self._loop.inputs},
        )

    def _flush_trail(self) -> None:
        if self._loop is not None and self._loop.trail is not None:
            self._loop.trail.flush()

    def _tell_spans(self, spans: list[NodeSpan]) -> None:
        """Where the session doesn't read, spans are given up: they must not pile up here."""
        if self._control.waiting:
            self._lost_spans += len(spans)
        else:
            lost, self._lost_spans = self._lost_spans, 0
            self._control.send(messages.Traced(spans, lost))

    def _fail(self, during: str, cause: BaseException | None) -> None:
        if isinstance(cause, MemoryError):
            self._reserve.close()
            allow_last_words()
        error = describe_fault("", during, cause)
        self._control.send(
            messages.Failed(during, error.exception_type, error.exception_message, error.traceback)
        )
        self._tell_numbers()

    def _tell_numbers(self) -> None:
        """What was counted by a node that comes to no end of its own: nobody may ask any more."""
        if self._loop is not None and not self._finished:
            with contextlib.suppress(MemoryError):
                self._control.send(self._measured())

    def _say_last_words(self) -> None:
        """What the session has not made room for yet, within reason."""
        self._tell_numbers()
        self._flush_trail()
        self._control.flush(LAST_WORDS_S)

    def _on_broken(self, error: LaneError) -> None:
        peer_gone = isinstance(error, LaneClosedError)
        self._control.send(messages.LaneBroken(error.lane, error.fact, peer_gone))

    def _on_hoarding(self, end: LaneReceiver) -> None:
        stats = end.statistics()
        self._control.send(messages.Hoarding(end.spec.lane_id, stats.held, stats.held_bytes))

    def _on_leash(self, _events: int) -> None:
        said = self._leash.recv(len(STOP))
        if said in (b"", STOP):
            self.reactor.unregister(self._leash.fileno())
            self._stop()

    def _stop(self) -> None:
        self._stopping = True
        if self._task is not None:
            self._task.cancel()


def _run_plain(life: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that never really waits: its pump blocks in the reactor instead."""
    with contextlib.suppress(StopIteration):
        life.send(None)


def _run_in_loop(life: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(life)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """The fastest event loop that is installed."""
    try:
        import uvloop  # noqa: PLC0415  # only async nodes want it, and only where it is there
    except ImportError:
        return asyncio.new_event_loop
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def main(control_fd: int, leash_fd: int, vitals_fd: int) -> None:
    """Run a node in this process; returns when the session or the supervisor says so."""
    answer_with_stacks(vitals_fd)
    pulse = OwnVitals(vitals_fd).pulse()
    Worker(socket.socket(fileno=control_fd), socket.socket(fileno=leash_fd), pulse).run()
