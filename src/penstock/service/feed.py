"""A stream's inputs on their way into its session."""

from __future__ import annotations

import time
from collections.abc import Mapping

from penstock.data import Value
from penstock.service.chunks import Chunk, Inputs, parts_of
from penstock.service.entry import REFUSED, Entry
from penstock.service.files import Files
from penstock.service.inbox import Inbox
from penstock.service.limits import CallLimits
from penstock.session import Session
from penstock.wire.buffers import decode
from penstock.wire.codec_time import CodecTime
from penstock.wire.json_texts import JsonTexts
from penstock.wire.v1 import common_pb2 as pb


class Feed(Entry):
    """Decodes chunks as they come, reads ahead by what the inbox holds, and sends in order.

    One task puts and ends, another runs: what the session takes at once is sent as it is put.
    A message of it may have ``largest`` bytes.
    """

    def __init__(self, limits: CallLimits, files: Files, codec: CodecTime, largest: int) -> None:
        super().__init__(limits, Inbox[Inputs](), codec, largest, may_read_files=files.may_be_read)
        self._files = files

    @property
    def ended(self) -> bool:
        """Whether the client has said that nothing more comes."""
        return self._inbox.ended

    @property
    def waiting(self) -> int:
        """Values that have been read, and that the session has no room for yet."""
        return sum(len(inputs.values) for inputs in self._inbox)

    async def put(self, chunk: Chunk, payload: memoryview | None) -> None:
        """Take a chunk, with what lies beside it, and wait for room.

        Raises ``InputError`` for what can't be taken, ``ResourceLimitError`` for what is too
        large, and as ``Session.send`` does.
        """
        turn, parts = self._inbox.turn, parts_of(chunk)
        try:
            number = self._numbered(chunk, parts)
            await self._files.load((part.where, part.buffer) for part in parts)
            inputs = self._decoded(chunk, parts, number, payload)
            is_passable = self._inbox.is_passable
        except REFUSED as exc:
            exc.sequence = chunk.sequence
            raise
        if self._inbox.turn != turn:
            return  # given up while its files were read
        if not (is_passable and self._sent_at_once(inputs)):
            self.touch()
            await self._inbox.put(inputs, inputs.nbytes)

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
            await self._send(session, node_id, value, 0, Inputs((), 0, 0, time.perf_counter_ns()))

    async def run(self, session: Session) -> None:
        """Send the chunks, and then the end; a full inlet waits here."""
        self._session = session
        while (inputs := await self._inbox.take()) is not None:
            await self._send_all(session, inputs)
        await session.end()

    async def _send_all(self, session: Session, inputs: Inputs) -> None:
        """All values of a chunk have one number, and are given up together."""
        number, turn = inputs.sequence, self._inbox.turn
        try:
            for node_id, value in inputs.values:
                if self._inbox.turn != turn:
                    break
                number = await self._send(session, node_id, value, number, inputs)
        except REFUSED as exc:
            exc.sequence = inputs.sequence
            raise

    async def _send(
        self, session: Session, node_id: str, value: Value, number: int | None, of: Inputs
    ) -> int:
        self._limits.check(value, self._largest)
        used = await session.send(
            self._source(node_id),
            value,
            sequence=number,
            timestamp_us=of.timestamp_ms * 1000,
            entered_ns=of.entered_ns,
        )
        self._has_taken(value)
        return used
