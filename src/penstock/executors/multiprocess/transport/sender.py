"""The sending end of a lane between two processes.

The window bounds what waits on the lane: sent, and not yet taken by the consumer. A message's
slot is held until the consumer's last view of it is gone.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from time import perf_counter_ns

from penstock.bridges import (
    LaneEvent,
    LaneSpec,
    LaneState,
    ProducerStatistics,
    close_lane,
    count_drop,
    lane_machine,
    no_listener,
)
from penstock.data import Message
from penstock.errors import ConservationError, LaneClosedError, LaneError
from penstock.executors.multiprocess.transport import frames
from penstock.executors.multiprocess.transport.frames import FrameType, Tally
from penstock.executors.multiprocess.transport.placing import Placed, Placer
from penstock.executors.multiprocess.transport.port import Port
from penstock.executors.multiprocess.transport.reactor import Reactor


class LaneSender:
    """A ``ProducerEnd`` on a socket.

    ``on_change`` is called when there may be space again or the consumer confirmed the end,
    ``on_broken`` with the ``LaneError`` when the lane fails.
    """

    def __init__(
        self,
        spec: LaneSpec,
        sock: socket.socket,
        placer: Placer,
        reactor: Reactor,
        on_broken: Callable[[LaneError], None],
    ) -> None:
        self.spec = spec
        self.on_change = no_listener
        self.on_broken = on_broken
        self._name = spec.name
        self.finished = False
        self._placer = placer
        self._port = Port(
            sock, reactor, self._on_frame, self._on_end, frame_bytes=frames.LANE_FRAME_BYTES
        )
        self._port.on_drained = self._settle
        self._machine = lane_machine(spec.name)
        self._stats = ProducerStatistics()
        self._window = spec.capacity if spec.backpressure else (spec.capacity + 1) // 2
        self._held: deque[Message] = deque()
        self._transmitted = 0
        self._taken = 0
        self._leases: dict[int, Placed] = {}
        self._announced: set[int] = set()
        self._ending = False
        self._broken = False
        self._blocked_since = 0

    def offer(self, message: Message) -> bool:
        """Take the message, or say False where the producer has to wait for ``on_change``.

        Raises what ``Placer.place`` does.
        """
        if message.value.kind not in self.spec.accepts:
            self._stats.filtered += 1
            return True
        if self._broken or self._machine.state is LaneState.BLOCKED:
            return False
        if not self.spec.backpressure:
            self._hold(message)
            return True
        if self._transmitted - self._taken >= self._window or not self._transmit(message):
            self._block()
            return False
        self._stats.sent += 1
        return True

    def end(self) -> None:
        """Say that nothing more comes; END follows what still waits here."""
        self._ending = True
        self._end_if_empty()

    def statistics(self) -> ProducerStatistics:
        self._stats.state = self._machine.state
        self._stats.waiting = len(self._held) + self._port.waiting
        return self._stats

    def close(self) -> None:
        close_lane(self._machine)
        self._port.close()
        self._held.clear()
        self._leases.clear()

    def memory_freed(self) -> None:
        """A slot is free again somewhere in the arena."""
        self._space_available()

    def reclaim(self) -> None:
        """Ask the consumer to give slots back at once: the arena is full."""
        if self._leases:
            self._port.send(frames.number_frame(FrameType.RECLAIM))

    def retire(self, slab_id: int) -> None:
        """Tell the consumer that a slab has been given up."""
        if slab_id in self._announced:
            self._announced.discard(slab_id)
            self._port.send(frames.number_frame(FrameType.RETIRE, slab_id))

    def _hold(self, message: Message) -> None:
        """Without backpressure what finds no space waits here, and the excess is dropped."""
        self._stats.sent += 1
        self._held.append(message)
        self._send_held()
        if len(self._held) > max(self.spec.capacity - self._window, 1):
            self._held.popleft() if self.spec.keep == "newest" else self._held.pop()
            count_drop(self._stats.dropped, "no credit")

    def _send_held(self) -> None:
        while self._held and self._transmitted - self._taken < self._window:
            if not self._transmit(self._held[0]):
                return
            self._held.popleft()
        self._end_if_empty()

    def _transmit(self, message: Message) -> bool:
        """Place and send the message; False while there is no memory for it.

        A message that leaves at once passes through states that nobody can see; they are
        walked only when it has to stay in one.
        """
        started = perf_counter_ns()
        placed = self._placer.place(message.value, verify=self.spec.verify)
        if placed is None:
            return False
        number = self._transmitted
        for slot in (placed.slot, placed.meta_slot):
            if slot is not None:
                self._leases[number] = placed
                if slot.slab_id not in self._announced:
                    self._announce(slot.slab_id)
        self._port.send(placed.frame(message, number))
        self._transmitted = number + 1
        stats = self._stats
        stats.payload_bytes += placed.length
        stats.copies += placed.copied
        stats.conversion_ns += perf_counter_ns() - started
        if self._port.waiting:
            self._step_to_transferring()
            self._machine.step(LaneEvent.CONVERSION_NEEDED)
            self._machine.step(LaneEvent.CONVERTED)
        return True

    def _announce(self, slab_id: int) -> None:
        self._announced.add(slab_id)
        descriptor = self._placer.arena.descriptor(slab_id)
        self._port.send(frames.number_frame(FrameType.SLAB, slab_id), [descriptor])

    def _end_if_empty(self) -> None:
        if self._ending and not self._held:
            self._ending = False
            tally = Tally(self._stats.sent, dict(self._stats.dropped))
            self._port.send(frames.tally_frame(FrameType.END, tally))

    def _step_to_transferring(self) -> None:
        if self._machine.state is LaneState.IDLE:
            self._machine.step(LaneEvent.DATA_AVAILABLE)
        elif self._machine.state is LaneState.BUFFERING:
            self._machine.step(LaneEvent.TARGET_READY)

    def _settle(self) -> None:
        """Everything that was converted has left."""
        if self._machine.state is LaneState.BUFFERING:
            self._machine.step(LaneEvent.TARGET_READY)
        if self._machine.state is LaneState.TRANSFERRING:
            self._machine.step(LaneEvent.TRANSFERRED)

    def _block(self) -> None:
        self._step_to_transferring()
        self._machine.step(LaneEvent.NO_SPACE)
        self._blocked_since = perf_counter_ns()

    def _space_available(self) -> None:
        if self._machine.state is LaneState.BLOCKED:
            self._stats.blocked_ns += perf_counter_ns() - self._blocked_since
            self._machine.step(LaneEvent.SPACE_AVAILABLE)
            if not self._port.waiting:
                self._settle()
        if self._held:
            self._send_held()
        self.on_change()

    def _on_frame(self, frame: bytes, descriptors: list[int]) -> None:
        try:
            self._handle(frame)
        except LaneError as exc:
            self._break(exc)

    def _handle(self, frame: bytes) -> None:
        lane = self._name
        match frames.frame_type(frame, lane):
            case FrameType.CREDIT:
                self._credit(frames.number_of(frame, lane))
            case FrameType.RELEASE:
                for lane_sequence in frames.released(frame, lane):
                    self._leases.pop(lane_sequence, None)
            case FrameType.FINAL:
                self._finish(frames.tally_of(frame, lane))
            case other:
                raise LaneError(lane, f"unexpected frame of type {other} from the consumer")

    def _credit(self, taken: int) -> None:
        if not self._taken <= taken <= self._transmitted:
            raise LaneError(
                self.spec.name, f"credit for {taken} messages, but {self._transmitted} were sent"
            )
        self._taken = taken
        self._space_available()

    def _finish(self, final: Tally) -> None:
        stats = self._stats
        dropped = sum(stats.dropped.values()) + sum(final.dropped.values())
        if stats.sent != final.messages + dropped:
            raise ConservationError(
                self.spec.name, sent=stats.sent, received=final.messages, dropped=dropped
            )
        self.finished = True
        self.on_change()

    def _on_end(self) -> None:
        if not self.finished:
            self._break(LaneClosedError(self.spec.name, "its consumer is gone before the end"))

    def _break(self, error: LaneError) -> None:
        if not self._broken:
            self._broken = True
            self.on_broken(error)
