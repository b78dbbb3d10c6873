"""A stream's inputs on their way into its session."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from penstock.data import Value
from penstock.errors import InputError, ResourceLimitError
from penstock.service.chunks import Chunk, Inputs, Part, decode_chunk, parts_of
from penstock.service.files import Files
from penstock.service.inbox import Inbox
from penstock.service.limits import CallLimits
from penstock.service.numbering import Numbering
from penstock.session import Session
from penstock.wire.buffers import decode
from penstock.wire.codec_time import CodecTime
from penstock.wire.json_texts import JsonTexts
from penstock.wire.v1 import common_pb2 as pb

_REFUSED = (InputError, ResourceLimitError)


class Feed:
    """Decodes chunks as they come, reads ahead by what the inbox holds, and sends in order.

    One task puts and ends, another runs: what the session takes at once is sent as it is put.
    ``taken`` counts what the session has; ``moved_at`` is when something last came, or went, in
    ``time.monotonic``. A message of it may have ``largest`` bytes.
    """

    def __init__(self, limits: CallLimits, files: Files, codec: CodecTime, largest: int) -> None:
        self.taken = 0
        self.moved_at = time.monotonic()
        self._limits = limits
        self._files = files
        self._codec = codec
        self._largest = largest
        self._inbox: Inbox[Inputs] = Inbox()
        self._numbering = Numbering()
        self._session: Session | None = None
        self._sources: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether the client has said that nothing more comes."""
        return self._inbox.ended

    @property
    def waiting(self) -> int:
        """Values that have been read, and that the session has no room for yet."""
        return sum(len(inputs.values) for inputs in self._inbox)

    def touch(self) -> None:
        """Something has moved."""
        self.moved_at = time.monotonic()

    @property
    def is_free(self) -> bool:
        """Whether a chunk need not wait: none is ahead of it, and no file may have to be read."""
        return self._inbox.is_empty and not self._files.may_be_read

    async def put(self, chunk: Chunk, payload: memoryview | None) -> None:
        """Take a chunk, with what lies beside it, and wait for room.

        Raises ``InputError`` for what can't be taken, ``ResourceLimitError`` for what is too
        large, and as ``Session.send`` does.
        """
        turn, parts = self._inbox.turn, parts_of(chunk)
        try:
            number = self._number(chunk, parts)
            await self._files.load((part.where, part.buffer) for part in parts)
            inputs = self._decoded(chunk, parts, number, payload)
            is_passable = self._inbox.is_passable
        except _REFUSED as exc:
            exc.sequence = chunk.sequence
            raise
        if self._inbox.turn != turn:
            return  # given up while its files were read
        if not (is_passable and self._sent_at_once(inputs)):
            self.touch()
            await self._inbox.put(inputs, inputs.nbytes)

    def put_nowait(self, chunk: Chunk, payload: memoryview | None) -> None:
        """The same where it ``is_free``."""
        parts = parts_of(chunk)
        try:
            inputs = self._decoded(chunk, parts, self._number(chunk, parts), payload)
            is_passable = self._inbox.is_passable
        except _REFUSED as exc:
            exc.sequence = chunk.sequence
            raise
        if not (is_passable and self._sent_at_once(inputs)):
            self.touch()
            self._inbox.put_nowait(inputs, inputs.nbytes)

    def skip(self, chunk: Chunk) -> None:
        """Take no more than the number of a chunk; raises ``InputError`` for one that is wrong."""
        try:
            self._number(chunk, parts_of(chunk))
        except InputError as exc:
            exc.sequence = chunk.sequence
            raise

    def end(self) -> None:
        """Nothing more comes; doing it twice is harmless."""
        self._inbox.end()

    def give_up(self) -> None:
        """Forget what has been read and not been sent: it is stale, or nobody will take it."""
        self._inbox.clear()

    async def begin(self, session: Session, first: Mapping[str, pb.DataBuffer]) -> None:
        """Send what came with ``init``; a full inlet waits here."""
        placed = {node_id: f"init.data_inputs[{node_id!r}]" for node_id in first}
        await self._files.load((placed[node_id], buffer) for node_id, buffer in first.items())
        self._sources = session.sources
        texts = JsonTexts(self._largest)
        for node_id, buffer in first.items():
            if self._inbox.turn:
                break  # it was sent before anything else
            started = time.perf_counter()
            value = decode(buffer, placed[node_id], texts=texts)
            self._codec.decoding_s += time.perf_counter() - started
            await self._send(session, node_id, value, Inputs((), 0, 0, time.perf_counter_ns()))

    async def run(self, session: Session) -> None:
        """Send the chunks, and then the end; a full inlet waits here."""
        self._session = session
        while (inputs := await self._inbox.take()) is not None:
            await self._send_all(session, inputs)
        await session.end()

    def _number(self, chunk: Chunk, parts: Sequence[Part]) -> int | None:
        return self._numbering.take(chunk.sequence, [part.node_id for part in parts])

    def _decoded(
        self, chunk: Chunk, parts: Sequence[Part], number: int | None, payload: memoryview | None
    ) -> Inputs:
        inputs = decode_chunk(chunk, parts, number, JsonTexts(self._largest), payload)
        self._codec.decoding_s += (time.perf_counter_ns() - inputs.entered_ns) / 1e9
        return inputs

    def _sent_at_once(self, inputs: Inputs) -> bool:
        """Whether the session has taken a chunk, without a wait; one of several values is left."""
        session = self._session
        if session is None or len(inputs.values) != 1:
            return False
        ((node_id, value),) = inputs.values
        number = inputs.sequence
        try:
            self._limits.check(value, self._largest)
            used = session.send_nowait(
                node_id or self._only_source(),
                value,
                sequence=number,
                timestamp_us=inputs.timestamp_ms * 1000,
                entered_ns=inputs.entered_ns,
            )
        except _REFUSED as exc:
            exc.sequence = number
            raise
        if used is None:
            return False
        self._has_taken(value)
        return True

    async def _send_all(self, session: Session, inputs: Inputs) -> None:
        """All values of a chunk have one number, and are given up together."""
        said, turn = inputs.sequence, self._inbox.turn
        try:
            for node_id, value in inputs.values:
                if self._inbox.turn != turn:
                    break
                number = await self._send(session, node_id, value, inputs)
                inputs = replace(inputs, sequence=number)
        except _REFUSED as exc:
            exc.sequence = said
            raise

    async def _send(self, session: Session, node_id: str, value: Value, of: Inputs) -> int:
        self._limits.check(value, self._largest)
        used = await session.send(
            node_id or self._only_source(),
            value,
            sequence=of.sequence,
            timestamp_us=of.timestamp_ms * 1000,
            entered_ns=of.entered_ns,
        )
        self._has_taken(value)
        return used

    def _has_taken(self, value: Value) -> None:
        self._limits.count(value)
        self.taken += 1
        self.moved_at = time.monotonic()

    def _only_source(self) -> str:
        if len(self._sources) != 1:
            known = (
                f"one of {', '.join(self._sources)}"
                if self._sources
                else "no chunk: no node takes any"
            )
            raise InputError(f"node_id: expected {known}, got nothing")
        return self._sources[0]
