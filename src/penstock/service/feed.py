"""A stream's inputs on their way into its session."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType

from penstock.data import Value
from penstock.errors import InputError
from penstock.service.chunks import Chunk, Inputs, buffers_of, decode_chunk, sources_of
from penstock.service.files import Files
from penstock.service.inbox import Inbox
from penstock.service.limits import CallLimits
from penstock.service.numbering import Numbering
from penstock.session import Session
from penstock.wire.buffers import decode
from penstock.wire.metrics import CodecTime
from penstock.wire.v1 import common_pb2 as pb


class Feed:
    """Decodes chunks as they come, reads ahead by what the inbox holds, and sends in order.

    One task puts and ends, another runs: what the session takes at once the former sends itself.
    ``taken`` counts what the session has; ``moved_at`` is when it last took or gave something, in
    ``time.monotonic``.
    """

    def __init__(self, limits: CallLimits, files: Files, codec: CodecTime) -> None:
        self.taken = 0
        self.moved_at = time.monotonic()
        self._limits = limits
        self._files = files
        self._codec = codec
        self._inbox = Inbox()
        self._numbering = Numbering()
        self._session: Session | None = None

    @property
    def ended(self) -> bool:
        """Whether the client has said that nothing more comes."""
        return self._inbox.ended

    def touch(self) -> None:
        """Something has moved."""
        self.moved_at = time.monotonic()

    async def put(self, chunk: Chunk, payload: memoryview | None) -> None:
        """Take a chunk, with what lies beside it, and wait for room.

        Raises ``InputError`` for what can't be taken, and as ``Session.send`` does.
        """
        turn = self._inbox.turn
        with _About(chunk.sequence):
            number = self._numbering.take(chunk.sequence, sources_of(chunk))
            await self._files.load(buffers_of(chunk))
            started = time.perf_counter()
            inputs = decode_chunk(chunk, number, payload)
            self._codec.decoding_s += time.perf_counter() - started
        if self._inbox.turn != turn:
            return  # given up while its files were read
        if not (self._inbox.is_passable and self._sent_at_once(inputs)):
            await self._inbox.put(inputs)

    def skip(self, chunk: Chunk) -> None:
        """Take no more than the number of a chunk; raises ``InputError`` for one that is wrong."""
        with _About(chunk.sequence):
            self._numbering.take(chunk.sequence, sources_of(chunk))

    def end(self) -> None:
        """Nothing more comes; doing it twice is harmless."""
        self._inbox.end()

    def give_up(self) -> None:
        """Forget what has been read and not been sent: it is stale, or nobody will take it."""
        self._inbox.clear()

    async def run(self, session: Session, first: Mapping[str, pb.DataBuffer]) -> None:
        """Send what came with ``init``, then the chunks; a full inlet waits here."""
        placed = {node_id: f"init.data_inputs[{node_id!r}]" for node_id in first}
        await self._files.load((placed[node_id], buffer) for node_id, buffer in first.items())
        for node_id, buffer in first.items():
            if self._inbox.turn:
                break  # it was sent before anything else
            started = time.perf_counter()
            value = decode(buffer, placed[node_id])
            self._codec.decoding_s += time.perf_counter() - started
            await self._send(session, node_id, value, 0, 0)
        self._session = session
        while (inputs := await self._inbox.take()) is not None:
            with _About(inputs.sequence):
                await self._send_all(session, inputs)
        await session.end()

    def _sent_at_once(self, inputs: Inputs) -> bool:
        """Whether the session has taken a chunk, without a wait; one of several values is left."""
        session = self._session
        if session is None or len(inputs.values) != 1:
            return False
        ((node_id, value),) = inputs.values
        with _About(inputs.sequence):
            self._limits.check(value, session.plan.configuration.max_message_bytes)
            used = session.send_nowait(
                node_id or _only_source(session),
                value,
                sequence=inputs.sequence,
                timestamp_us=inputs.timestamp_ms * 1000,
            )
        if used is None:
            return False
        self._has_taken(value)
        return True

    async def _send_all(self, session: Session, inputs: Inputs) -> None:
        """All values of a chunk have one number, and are given up together."""
        number, turn = inputs.sequence, self._inbox.turn
        for node_id, value in inputs.values:
            if self._inbox.turn != turn:
                break
            number = await self._send(session, node_id, value, number, inputs.timestamp_ms)

    async def _send(
        self, session: Session, node_id: str, value: Value, number: int | None, timestamp_ms: int
    ) -> int:
        self._limits.check(value, session.plan.configuration.max_message_bytes)
        target = node_id or _only_source(session)
        used = await session.send(target, value, sequence=number, timestamp_us=timestamp_ms * 1000)
        self._has_taken(value)
        return used

    def _has_taken(self, value: Value) -> None:
        self._limits.count(value)
        self.taken += 1
        self.touch()


class _About:
    """Has an ``InputError`` say which chunk it is about."""

    __slots__ = ("_sequence",)

    def __init__(self, sequence: int | None) -> None:
        self._sequence = sequence

    def __enter__(self) -> None:
        """Every chunk passes here: see ``Leaving``."""

    def __exit__(
        self, _kind: object, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if isinstance(error, InputError):
            error.sequence = self._sequence


def _only_source(session: Session) -> str:
    if len(session.sources) != 1:
        raise InputError(f"node_id: expected one of {', '.join(session.sources)}, got nothing")
    return session.sources[0]
