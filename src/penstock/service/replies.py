"""What goes back to a stream's client, one message at a time."""

from __future__ import annotations

import asyncio
import time

import grpc

from penstock.errors import PenstockError, SessionError
from penstock.service.outputs import write_output_beside
from penstock.service.passage import Results
from penstock.service.status import Context, client_left
from penstock.session import Interruption, NodeProgress, Output, Session
from penstock.wire.errors import encode_error
from penstock.wire.interrupts import encode_interruption
from penstock.wire.metrics import encode_metrics, encode_stream_metrics
from penstock.wire.parted import Parted
from penstock.wire.v1 import streaming_pb2 as pb


class Replies(Results):
    """Writes to the call from several tasks; no write is ever given up half way.

    A task that is inside one of these methods must not be cancelled while the call lives. All
    of them raise ``SessionCancelledError`` once it doesn't. ``writing_since`` is when the write
    that waits for the client began, in ``time.monotonic``.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._writing = asyncio.Lock()
        self._has_news = asyncio.Event()
        self._over = False
        self.writing_since: float | None = None

    def progressed(self, said: NodeProgress) -> None:
        """Keep a node's progress for ``forward_news``."""
        progress = pb.NodeProgress(
            node_id=said.node_id,
            stage=said.stage,
            fraction=said.fraction,
            message=said.message,
            elapsed_s=said.elapsed_s,
        )
        self._keep(pb.StreamResponse(progress=progress))

    def interrupted(self, said: Interruption) -> None:
        """Keep the news of an interrupt: results that are stale by it have been written before.

        One that could not be written at once may be stale, and never come again.
        """
        self._refused = None
        self._keep(pb.StreamResponse(interrupted=encode_interruption(said)))
        self._context.ask_anew()  # who has played what came reads past the rest of it now

    async def forward_news(self) -> None:
        """Tell the client of news as they come, until ``finish``."""
        while not self._over:
            await self._has_news.wait()
            self._has_news.clear()
            await self._tell_news()

    def finish(self) -> None:
        """No more news come."""
        self._over = True
        self._refused = None
        self._has_news.set()

    async def ready(self, session: Session) -> None:
        await self._tell_news()
        size = session.plan.chunk_samples
        ready = pb.StreamReady(session_id=session.session_id, recommended_chunk_size=size)
        await self._write(Parted(pb.StreamResponse(ready=ready)))

    async def result(self, output: Output, inputs_taken: int) -> None:
        """Raises ``NodeError`` for an output that can't be sent.

        What there is to tell by now goes before it, and what comes about later behind it: a client
        takes what is before the news of an interrupt for stale, and what is behind it for new.
        """
        refused, self._refused = self._refused, None
        if refused is not None and refused[0] is output:
            encoded = refused[1]
        else:
            encoded = self._encoded(output, inputs_taken)
        news = iter(self._news.take, None)
        await self._write(*[Parted(one) for one in news], encoded)

    async def metrics(self, session: Session, read_ahead: int) -> None:
        """Those of now; ``read_ahead`` are inputs that wait to be the session's."""
        message = encode_stream_metrics(await session.totals(), read_ahead)
        await self._write(Parted(pb.StreamResponse(metrics=message)))

    async def undelivered(self, session: Session, read_ahead: int) -> None:
        """The metrics of a session that failed, where it leaves something undelivered."""
        try:
            totals = await session.totals()
        except SessionError:
            return  # it was never started
        if totals.waiting or read_ahead:
            message = encode_stream_metrics(totals, read_ahead)
            await self._write(Parted(pb.StreamResponse(metrics=message)))

    async def closed(self, session: Session, reason: str) -> None:
        """The last word of a stream that ended as its client wished."""
        reasons = {a.node_id: str(a.assignment_reason) for a in session.plan.assignments}
        final = encode_metrics(await session.metrics(), reasons, self.codec)
        closed = pb.StreamClosed(session_id=session.session_id, final_metrics=final, reason=reason)
        await self._write(Parted(pb.StreamResponse(closed=closed)))

    async def error(self, error: PenstockError) -> None:
        """The last word of a stream that failed."""
        await self._tell_news()
        await self._write(Parted(pb.StreamResponse(error=encode_error(error))))

    def _in_full(self, output: Output, inputs_taken: int) -> Parted[pb.StreamResponse]:
        """An output that is not plain audio, or none that can be sent."""
        response = pb.StreamResponse()
        result = response.result
        result.sequence = output.sequence
        result.part = output.part
        result.timestamp_us = output.timestamp_us
        if output.latency_s is not None:
            result.processing_time_ms = output.latency_s * 1e3
        result.total_items_processed = inputs_taken
        buffer = result.data_outputs[output.node_id]
        return Parted(response, write_output_beside(output, buffer, self.codec))

    def _keep(self, news: pb.StreamResponse) -> None:
        self._news.keep(news)
        self._has_news.set()

    async def _tell_news(self) -> None:
        while (news := self._news.take()) is not None:
            await self._write(Parted(news))

    async def _write(self, *responses: bytes | Parted[pb.StreamResponse]) -> None:
        self._writers += 1
        try:
            async with self._writing:  # which has who waits go on in turn
                try:
                    for response in responses:
                        self.writing_since = time.monotonic()
                        await self._context.write(response)
                finally:
                    self.writing_since = None
        except grpc.aio.BaseError as exc:
            raise client_left() from exc
        finally:
            self._writers -= 1
