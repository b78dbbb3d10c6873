"""A client's side of ``StreamPipeline``."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, Self

import grpc

from penstock.client.attachment import Attachment
from penstock.client.duplex import DuplexCall
from penstock.client.interrupts import Asked, Beside, Interrupts
from penstock.client.metrics import ExecutionReport, StreamReport, execution_report, stream_report
from penstock.client.results import Own, Results, Seat, outputs_of
from penstock.client.transport import translated
from penstock.client.values import Sendable, as_value, write_values
from penstock.errors import InputError, ServiceError, SessionClosedError, SessionError
from penstock.session import Interruption, NodeProgress, Output
from penstock.wire.buffers import encode_beside
from penstock.wire.errors import decode_error
from penstock.wire.interrupts import decode_interruption
from penstock.wire.parted import Parted
from penstock.wire.stream_errors import note_details
from penstock.wire.v1 import streaming_pb2 as pb

UNAVAILABLE = "UNAVAILABLE"
READ_AHEAD = 16
"""Results that wait at the client for its reader, before the service is held up."""
CANCEL_S = 1.0
"""How long a CANCEL may wait for a service that reads no more, before the call is given up."""


class Stream:
    """One session of the service: send, read, close.

    ::

        async with client.stream("pipeline.json") as stream:
            await stream.send("asr", Audio(samples, 16_000))
            await stream.close()
            async for output in stream.outputs():
                print(output.node_id, output.value)

    Entering waits until all nodes are ready. ``send`` waits while the pipeline is full, and the
    pipeline while nobody reads ``outputs``: with more than a few chunks, send and read in two
    tasks. Leaving the block ends the session, at once where it is not complete.

    A callback that raises ends the stream, and who reads or sends gets what it raised. What is
    asked of a stream that has not been entered is a ``SessionError``, and so is entering it twice.

    ``metrics`` is the last that the service told while it ran; ``final_metrics`` and
    ``reason`` are set by the end of ``outputs``.
    """

    def __init__(
        self,
        method: Callable[[], DuplexCall],
        init: pb.StreamInit,
        on_progress: Callable[[NodeProgress], None] | None,
        on_interrupt: Callable[[Interruption], None] | None,
        attach: Callable[[str], Attachment],
    ) -> None:
        self.session_id = ""
        self.metrics: StreamReport | None = None
        self.final_metrics: ExecutionReport | None = None
        self.reason: str | None = None
        self._method = method
        self._init = init
        self._on_progress = on_progress
        self._on_interrupt = on_interrupt
        self._call: Any = None
        self._failure: Exception | None = None
        self._closing = False
        self._given_up = False
        self._seat = Seat()
        self._ready = asyncio.Event()
        self._over = asyncio.Event()
        self._writing = asyncio.Lock()
        self._results = Results(READ_AHEAD)
        self._sent = 0
        self._beside = Beside(lambda: attach(self.session_id))
        self._interrupts = Interrupts(
            self._write_interrupt, self._beside.overtake, lambda: self._sent
        )
        self._receiving: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._call is not None:
            raise SessionError("a stream is opened once")
        self._call = self._method()
        self._receiving = asyncio.create_task(self._receive(), name="penstock stream")
        try:
            await self._write(pb.StreamRequest(init=self._init))
            await self._until_ready()
        except BaseException:
            await self._abandon()
            raise
        return self

    async def _until_ready(self) -> None:
        await self._ready.wait()
        if not self.session_id:
            raise self._failure or SessionClosedError("the stream ended before it was ready")

    async def __aexit__(self, *_: object) -> None:
        await self._abandon()

    async def send(
        self,
        node_id: str,
        value: Sendable,
        *,
        sequence: int | None = None,
        timestamp_ms: int = 0,
    ) -> None:
        """Send a value, or what stands for one, to a source; waits while there is no room.

        Without ``sequence`` the service numbers in order of arrival, from 0; number all or none.
        Raises ``InputError`` for what can't be sent, ``SessionClosedError`` after the end,
        and the stream's ``ServiceError`` once it has failed. A send that is given up while it
        waits for room takes the stream with it: gRPC can't take a part of a message back.
        """
        request = self._chunk(node_id, sequence, timestamp_ms)
        payload = encode_beside(request.data_chunk.buffer, as_value(value, node_id))
        await self._write(request, payload)

    async def send_together(
        self,
        values: Mapping[str, Sendable],
        *,
        sequence: int | None = None,
        timestamp_ms: int = 0,
    ) -> None:
        """Send one value to each of several sources, in one message and of one number.

        They wait for room together, are given up together, and are taken in no order. All else is
        as ``send`` has it; raises ``InputError`` for none, too.
        """
        request = self._chunk("", sequence, timestamp_ms)
        if not values:
            raise InputError("values: expected at least one, got none")
        write_values(request.data_chunk.named_buffers, values, "values")
        await self._write(request)

    def _chunk(self, node_id: str, sequence: int | None, timestamp_ms: int) -> pb.StreamRequest:
        """One without a value yet; raises what there is to say where nothing can be sent."""
        self._check_open()
        if self._closing:
            raise SessionClosedError("the stream's inputs have ended")
        request = pb.StreamRequest()
        chunk = request.data_chunk
        try:
            chunk.node_id = node_id
            chunk.sequence = sequence or 0
            chunk.timestamp_ms = timestamp_ms
        except (TypeError, ValueError) as exc:
            raise InputError(f"node_id, sequence or timestamp_ms can't be sent: {exc}") from exc
        return request

    async def close(self) -> None:
        """No more inputs: everything is delivered, then ``outputs`` ends."""
        self._check_open()
        if not self._closing:
            self._closing = True
            await self._control(pb.StreamControl.COMMAND_CLOSE)

    async def cancel(self) -> None:
        """Stop at once; ``outputs`` ends, and what is on its way may be lost."""
        self._check_open()
        self._closing = True
        if self._over.is_set():
            return
        if self._writing.locked():  # a sender waits for room, and CANCEL would queue behind it
            self._give_up()
            return
        try:
            async with asyncio.timeout(CANCEL_S):
                await self._control(pb.StreamControl.COMMAND_CANCEL)
        except TimeoutError:
            self._give_up()

    async def interrupt(self, node_id: str | None = None) -> Interruption:
        """Stop what is downstream of a node for the current turn (barge-in); see ``Session``.

        When this returns, ``outputs`` gives nothing stale any more: what had come is dropped, too.
        None names the client: all that was sent is given up. Where the service is held up by that,
        it hears of this beside the stream, if this client may ``attach``; a ``send`` that waits
        behind another is of the new turn. Raises as ``send`` does.
        """
        self._check_open()
        await self._results.hurry(on=True)  # the answer comes behind them
        try:
            said = await self._interrupts.ask(node_id or None)
        finally:
            await self._results.hurry(on=False)
        if said is None:
            raise self._failure or SessionClosedError("the stream has ended")
        return said

    def outputs(self) -> AsyncGenerator[Output, None]:
        """What leaves the pipeline, as it comes, for one reader at a time.

        Raises the stream's ``ServiceError``, ``SessionClosedError`` where the block is left before
        all has come, and ``SessionError`` for a second reader beside one that isn't done. One that
        has been closed, was given up while it waited, or is gone may have a successor.
        """
        own: Own = []
        reading = self._read_outputs(own)
        own.append(weakref.ref(reading))
        return reading

    async def _read_outputs(self, own: Own) -> AsyncGenerator[Output, None]:
        self._check_open()
        with self._seat.taken(own[0]):
            while (result := await self._results.take()) is not None:
                for output in outputs_of(result):
                    yield output
        if self._failure is not None:
            raise self._failure
        if self._given_up and self.reason is None:
            raise SessionClosedError("the stream was left before its end")

    def _check_open(self) -> None:
        if self._call is None:
            raise SessionError("the stream has not been opened, which (async) with does")

    def _give_up(self) -> None:
        self.reason = "cancelled"
        self._given_up = True
        self._call.cancel()

    async def _abandon(self) -> None:
        """End the call, complete or not, and the task that reads it."""
        self._given_up = True
        self._call.cancel()
        if self._receiving is not None:
            self._receiving.cancel()
            await asyncio.wait([self._receiving])
        await self._interrupts.aclose()
        await self._beside.aclose()

    async def _control(self, command: pb.StreamControl.Command) -> None:
        await self._write(pb.StreamRequest(control=pb.StreamControl(command=command)))

    async def _write_interrupt(self, asked: Asked) -> None:
        command = pb.StreamControl.COMMAND_INTERRUPT
        control = pb.StreamControl(command=command, node_id=asked.node_id or "")
        await self._write(pb.StreamRequest(control=control), asked=asked)

    async def _write(
        self,
        request: pb.StreamRequest,
        payload: memoryview | None = None,
        asked: Asked | None = None,
    ) -> None:
        try:
            async with self._writing:
                self._sent += 1
                if asked is not None:
                    asked.place, asked.is_sent = self._sent, True
                with translated():
                    await self._call.write(Parted(request, payload))
        except (asyncio.InvalidStateError, ServiceError) as exc:
            await self._until_over()
            raise self._failure or SessionClosedError("the stream has ended") from exc

    async def _stop_writing(self) -> None:
        """The service hears out who writes when it fails, and ends the call after that."""
        with contextlib.suppress(asyncio.InvalidStateError, ServiceError):
            async with self._writing:
                with translated():
                    await self._call.done_writing()

    async def _until_over(self) -> None:
        """Wait for the last word of a call that takes no more; without a reader, read on to it."""
        while not self._seat.is_taken and await self._results.take() is not None:
            continue
        await self._over.wait()

    async def _receive(self) -> None:
        """The one task that reads the call, a few results ahead of who takes them.

        Were the service's last word unread, a failing write would hide it.
        """
        try:
            with translated():
                while (response := await self._call.read()) is not grpc.aio.EOF:
                    await self._take(response)
            await self._note_details()
        except ServiceError as exc:
            if not self._given_up and (self._failure is None or exc.error_type == UNAVAILABLE):
                self._failure = exc  # that it may be tried elsewhere is worth more than the reason
            await self._note_details()
        except asyncio.CancelledError:
            if not self._given_up:
                raise
        except Exception as exc:  # noqa: BLE001  # a callback's: who reads or sends hears of it
            self._failure = exc
            self._call.cancel()
        finally:
            self._over.set()
            self._ready.set()
            self._interrupts.end()
        await self._results.end(forget=self._given_up)

    async def _note_details(self) -> None:
        """Have the failure say what it was to the stream, whatever the call has ended with."""
        if isinstance(self._failure, ServiceError) and not self._given_up:
            note_details(self._failure, await self._call.trailing_metadata() or ())

    async def _take(self, parted: Parted[pb.StreamResponse]) -> None:
        response = parted.message
        match response.WhichOneof("response"):
            case "result":
                await self._results.put(Parted(response.result, parted.payload))
            case "progress" if self._on_progress is not None:
                self._on_progress(_progress(response.progress))
            case "ready":
                self.session_id = response.ready.session_id
                self._ready.set()
            case "interrupted":
                await self._note_interrupt(decode_interruption(response.interrupted))
            case "metrics":
                self.metrics = stream_report(response.metrics)
            case "closed":
                self.final_metrics = execution_report(response.closed.final_metrics)
                self.reason = response.closed.reason
            case "error":
                self._failure = decode_error(response.error)
                await self._stop_writing()

    async def _note_interrupt(self, said: Interruption) -> None:
        await self._results.drop_of(said.sinks)
        if said.by is None:
            self._interrupts.note(said)
        if self._on_interrupt is not None:
            self._on_interrupt(said)


def _progress(message: pb.NodeProgress) -> NodeProgress:
    return NodeProgress(
        message.node_id, message.stage, message.fraction, message.message, message.elapsed_s
    )
