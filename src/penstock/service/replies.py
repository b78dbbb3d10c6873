"""What goes back to a stream's client, one message at a time."""

from __future__ import annotations

import asyncio
from collections import deque

from penstock.errors import PenstockError, SessionError
from penstock.service.outputs import write_output
from penstock.service.status import Context, leaving
from penstock.session import NodeProgress, Output, Session
from penstock.wire.errors import encode_error
from penstock.wire.metrics import CodecTime, encode_metrics, encode_stream_metrics
from penstock.wire.v1 import streaming_pb2 as pb

PROGRESS_KEPT = 1024
"""Progress that waits for a slow client; what is older is dropped."""


class Replies:
    """Writes to the call from several tasks; no write is ever given up half way.

    A task that is inside one of these methods must not be cancelled while the call lives. All
    of them raise ``SessionCancelledError`` once it doesn't.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._writing = asyncio.Lock()
        self._progress: deque[NodeProgress] = deque(maxlen=PROGRESS_KEPT)
        self._news = asyncio.Event()
        self._over = False
        self.codec = CodecTime()

    def note(self, progress: NodeProgress) -> None:
        """Keep a node's progress for ``forward_progress``."""
        self._progress.append(progress)
        self._news.set()

    async def forward_progress(self) -> None:
        """Tell the client of progress as it comes, until ``finish``."""
        while not self._over:
            await self._news.wait()
            self._news.clear()
            await self._tell_progress()

    def finish(self) -> None:
        """No more progress comes."""
        self._over = True
        self._news.set()

    async def ready(self, session: Session) -> None:
        await self._tell_progress()
        await self._write(pb.StreamResponse(ready=pb.StreamReady(session_id=session.session_id)))

    async def result(self, output: Output, inputs_taken: int) -> None:
        """Raises ``NodeError`` for an output that can't be sent."""
        response = pb.StreamResponse()
        result = response.result
        result.sequence = output.sequence
        result.part = output.part
        result.timestamp_us = output.timestamp_us
        result.processing_time_ms = (output.latency_s or 0.0) * 1e3
        result.total_items_processed = inputs_taken
        write_output(output, result.data_outputs[output.node_id], self.codec)
        await self._write(response)

    async def metrics(self, session: Session) -> None:
        message = encode_stream_metrics(await session.metrics())
        await self._write(pb.StreamResponse(metrics=message))

    async def undelivered(self, session: Session) -> None:
        """The metrics of a session that failed, where it leaves something undelivered."""
        try:
            metrics = await session.metrics()
        except SessionError:
            return  # it was never started
        if metrics.waiting:
            await self._write(pb.StreamResponse(metrics=encode_stream_metrics(metrics)))

    async def closed(self, session: Session, reason: str) -> None:
        """The last word of a stream that ended as its client wished."""
        reasons = {a.node_id: str(a.assignment_reason) for a in session.plan.assignments}
        final = encode_metrics(await session.metrics(), reasons, self.codec)
        closed = pb.StreamClosed(session_id=session.session_id, final_metrics=final, reason=reason)
        await self._write(pb.StreamResponse(closed=closed))

    async def error(self, error: PenstockError) -> None:
        """The last word of a stream that failed."""
        await self._tell_progress()
        await self._write(pb.StreamResponse(error=encode_error(error)))

    async def _tell_progress(self) -> None:
        async with self._writing:
            while self._progress:
                said = self._progress.popleft()
                progress = pb.NodeProgress(
                    node_id=said.node_id,
                    stage=said.stage,
                    fraction=said.fraction,
                    message=said.message,
                    elapsed_s=said.elapsed_s,
                )
                with leaving():
                    await self._context.write(pb.StreamResponse(progress=progress))

    async def _write(self, response: pb.StreamResponse) -> None:
        async with self._writing:
            with leaving():
                await self._context.write(response)
