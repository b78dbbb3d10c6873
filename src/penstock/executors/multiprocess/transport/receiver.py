"""The receiving end of a lane between two processes.

Credit goes back when a message is taken; the lease on its slot when the last view of it dies.
A consumer that hoards leases, or pins too much of its producer's pool by them, gets copies instead.
"""

from __future__ import annotations

import gc
import os
import socket
import zlib
from collections import deque
from collections.abc import Callable
from time import perf_counter_ns

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.bridges import ConsumerStatistics, LaneSpec, count_drop, no_listener
from penstock.data import Message, Value, unpack
from penstock.errors import ConservationError, LaneClosedError, LaneError
from penstock.executors.multiprocess.transport import frames
from penstock.executors.multiprocess.transport.arena import SharedArena
from penstock.executors.multiprocess.transport.frames import (
    DATA_START,
    ENVELOPE_BYTES,
    KINDS,
    Envelope,
    Flags,
    FrameType,
    Tally,
)
from penstock.executors.multiprocess.transport.port import Port
from penstock.executors.multiprocess.transport.reactor import Reactor

MAX_LEASES = 256
"""Views on a lane's messages that may live at once before inputs are copied."""
_INLINE, _CHECKED, _META_IN_SLAB = map(int, Flags)
_NO_SLAB = -1
_RELEASE_COUNT = 16
_RELEASE_BYTES = 256 << 10


class LaneReceiver:
    """A ``ConsumerEnd`` on a socket.

    ``on_change`` is called when there is something to take or the end has come,
    ``on_broken`` with the ``LaneError`` when the lane fails.
    """

    def __init__(
        self,
        spec: LaneSpec,
        sock: socket.socket,
        arena: SharedArena,
        reactor: Reactor,
        on_broken: Callable[[LaneError], None],
    ) -> None:
        self.spec = spec
        self.on_change = no_listener
        self.on_broken = on_broken
        self._name = spec.name
        self._arena = arena
        self._reactor = reactor
        self._port = Port(
            sock, reactor, self._on_frame, self._on_end, frame_bytes=frames.LANE_FRAME_BYTES
        )
        self._stats = ConsumerStatistics()
        self._ready: deque[tuple[Envelope, bytes]] = deque()
        self._arrived = 0
        self._credited = 0
        self._credit_step = max(spec.capacity // 4, 1)
        self._tally: Tally | None = None
        self._final_sent = False
        self._broken = False
        self._leases = 0
        self._pinned_bytes = 0
        self._lease_budget = arena.budget_bytes // 4
        self._pinned: dict[int, int] = {}
        self._returned: deque[tuple[int, int]] = deque()
        self._eager = False
        self._collect_at = 0

    def take(self) -> Message | None:
        """The next message, as views on shared memory.

        Raises ``LaneError`` for a message that is not what its envelope says.
        """
        if not self.spec.backpressure:
            self._port.drain()  # the newest may still be in the socket
        if not self._ready:
            return None
        started = perf_counter_ns()
        envelope, frame = self._ready.popleft()
        try:
            value = self._value(envelope, frame)
        except (ValueError, TypeError, KeyError, msgspec.DecodeError) as exc:
            raise LaneError(
                self._name, f"message {envelope.lane_sequence} is unreadable: {exc}"
            ) from exc
        stats = self._stats
        stats.received += 1
        stats.conversion_ns += perf_counter_ns() - started
        if self.spec.backpressure and stats.received - self._credited >= self._credit_step:
            self._give_credit(stats.received)
        if self._tally is not None:
            self._finish_if_ended()
        return Message(
            value,
            envelope.sequence,
            envelope.part,
            envelope.timestamp_us,
            envelope.epoch,
            self.spec.source,
        )

    @property
    def ended(self) -> bool:
        return self._final_sent

    def statistics(self) -> ConsumerStatistics:
        self._stats.waiting = len(self._ready)
        self._stats.ended = self._final_sent
        return self._stats

    def close(self) -> None:
        self._port.close()
        self._ready.clear()

    def _value(self, envelope: Envelope, frame: bytes) -> Value:
        flags = envelope.flags
        start = ENVELOPE_BYTES + envelope.meta_bytes
        meta: bytes = frame[ENVELOPE_BYTES:start]
        if flags & _META_IN_SLAB:
            meta = self._arena.peek(*frames.located(meta, self._name))
        if not flags & _INLINE:
            payload = self._view(envelope)
        else:
            payload = np.frombuffer(frame, np.uint8, envelope.length, start)
            if flags & _META_IN_SLAB:
                self._return_unseen(envelope)
        if flags & _CHECKED and zlib.crc32(payload.data) != envelope.checksum:
            raise ValueError(f"its payload of {envelope.length} bytes has another checksum")
        return unpack(KINDS[envelope.kind], meta, payload)

    def _view(self, envelope: Envelope) -> NDArray[np.uint8]:
        """The payload where it lies, or a copy of it where too many views are held already."""
        slab_id = envelope.slab_id
        root = self._arena.view(
            slab_id, envelope.offset, envelope.length, self, envelope.lane_sequence
        )
        self._leases += 1
        pins = self._pinned.get(slab_id, 0)
        self._pinned[slab_id] = pins + 1
        if not pins:
            self._pinned_bytes += self._arena.slab_bytes(slab_id)
        if self._leases <= MAX_LEASES and self._pinned_bytes <= self._lease_budget:
            return root
        return self._spared(root)

    def _spared(self, root: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A copy, unless views that only cycles hold were what was too much."""
        self._collect()
        if self._leases <= MAX_LEASES and self._pinned_bytes <= self._lease_budget:
            return root
        self._stats.copies += 1
        return root.copy()

    def _collect(self) -> None:
        """Free views that only cycles hold; now and then, since looking takes milliseconds."""
        if self._leases and self._stats.received >= self._collect_at:
            self._collect_at = self._stats.received + MAX_LEASES
            gc.collect()
            self._flush_returns()

    def take_back(self, token: int, slab_id: int, nbytes: int) -> None:
        """The last view of message ``token`` died, on any thread."""
        self._returned.append((token, slab_id))
        due = self._eager or nbytes >= _RELEASE_BYTES or len(self._returned) >= _RELEASE_COUNT
        if due:
            self._reactor.defer(self._flush_returns)

    def _return_unseen(self, envelope: Envelope) -> None:
        """Nobody has looked, or will, at what this message has in a slab."""
        self._returned.append((envelope.lane_sequence, _NO_SLAB))
        self._reactor.defer(self._flush_returns)

    def _flush_returns(self) -> None:
        while self._returned:
            batch = []
            for _ in range(min(len(self._returned), frames.MAX_RELEASES)):
                lane_sequence, slab_id = self._returned.popleft()
                batch.append(lane_sequence)
                if slab_id != _NO_SLAB:
                    self._unpin(slab_id)
            self._port.send(frames.release_frame(batch))

    def _unpin(self, slab_id: int) -> None:
        self._leases -= 1
        pins = self._pinned[slab_id] - 1
        self._pinned[slab_id] = pins
        if not pins:
            del self._pinned[slab_id]
            self._pinned_bytes -= self._arena.slab_bytes(slab_id)

    def _give_credit(self, taken: int) -> None:
        self._credited = taken
        self._port.send(frames.number_frame(FrameType.CREDIT, taken))

    def _on_frame(self, frame: bytes, descriptors: list[int]) -> None:
        try:
            if frame.startswith(DATA_START):
                self._arrive(frames.unpack_envelope(frame, self._name), frame)
            else:
                self._handle(frame, descriptors)
        except LaneError as exc:
            self._break(exc)
        finally:
            for fd in descriptors:
                os.close(fd)

    def _handle(self, frame: bytes, descriptors: list[int]) -> None:
        lane = self._name
        match frames.frame_type(frame, lane):
            case FrameType.SLAB if descriptors:
                self._arena.adopt(frames.number_of(frame, lane), descriptors.pop(), lane)
            case FrameType.RETIRE:
                self._arena.drop(frames.number_of(frame, lane))
            case FrameType.END:
                self._end(frames.tally_of(frame, lane))
            case FrameType.RECLAIM:
                self._eager = True
                self._flush_returns()
                self._collect()
            case other:
                raise LaneError(lane, f"unexpected frame of type {other} from the producer")

    def _arrive(self, envelope: Envelope, frame: bytes) -> None:
        if envelope.lane_sequence != self._arrived:
            raise LaneError(
                self.spec.name, f"expected message {self._arrived}, got {envelope.lane_sequence}"
            )
        self._arrived += 1
        self._ready.append((envelope, frame))
        if not self.spec.backpressure:
            if self._arrived - self._credited >= self._credit_step:
                self._give_credit(self._arrived)
            self._drop_excess()
        self.on_change()

    def _drop_excess(self) -> None:
        if len(self._ready) > self.spec.capacity:
            keep_newest = self.spec.keep == "newest"
            envelope, _ = self._ready.popleft() if keep_newest else self._ready.pop()
            count_drop(self._stats.dropped, "full")
            if not envelope.flags & _INLINE or envelope.flags & _META_IN_SLAB:
                self._return_unseen(envelope)

    def _end(self, tally: Tally) -> None:
        expected = tally.messages - sum(tally.dropped.values())
        if self._arrived != expected:
            raise ConservationError(
                self.spec.name, sent=tally.messages, received=self._arrived,
                dropped=sum(tally.dropped.values()),
            )  # fmt: skip
        self._tally = tally
        self._finish_if_ended()
        self.on_change()

    def _finish_if_ended(self) -> None:
        if self._tally is not None and not self._ready and not self._final_sent:
            self._final_sent = True
            self._flush_returns()
            tally = Tally(self._stats.received, dict(self._stats.dropped))
            self._port.send(frames.tally_frame(FrameType.FINAL, tally))

    def _on_end(self) -> None:
        if not self._final_sent:
            self._break(LaneClosedError(self.spec.name, "its producer is gone before the end"))

    def _break(self, error: LaneError) -> None:
        if not self._broken:
            self._broken = True
            self.on_broken(error)
