"""Makes the calls, as bytes, and judges how each of them ended."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import grpc
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from bench.fuzz.calls import Call, live_chunk, live_session
from bench.fuzz.messages import SESSION
from penstock.wire.methods import STREAM_PIPELINE
from penstock.wire.v1 import common_pb2 as pb
from penstock.wire.v1 import control_pb2 as control

PATIENCE_S = 30.0
"""How long a call may take, whose client has said all that it will say."""
FOREVER_S = 0.03
"""How long a call is listened to that the protocol gives no end."""
_ENDLESS = frozenset({"Watch", "Attach"})
_OURS = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE})
_LOST = "Internal error from Core"
"""What gRPC says on this side where a call ended while the client wrote."""
_STAND_IN = SESSION.encode()
_OPTIONS = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))


class Client:
    """One channel to the service; ``faults`` says what a call showed that must not be.

    It has a session of its own to attach to, which goes on whatever is done to it.
    """

    def __init__(self, address: str) -> None:
        self._channel: Any = grpc.aio.insecure_channel(address, options=_OPTIONS)
        self._session_id = b""
        self._session: Any = None
        self._reading: asyncio.Task[str] | None = None

    async def open(self) -> None:
        """Have the session; returns when it is ready."""
        codec = (STREAM_PIPELINE.request.SerializeToString, STREAM_PIPELINE.response.FromString)
        self._session = self._channel.stream_stream(STREAM_PIPELINE.path, *codec)()
        await self._session.write(live_session())
        while not (response := await self._session.read()).HasField("ready"):
            continue
        self._session_id = response.ready.session_id.encode()
        self._reading = asyncio.create_task(_last(self._session))

    async def feed(self) -> list[str]:
        """Give the session something to do; what has become of it, where it is over."""
        assert self._reading is not None
        if self._reading.done():
            return [f"the session that is attached to has ended: {self._reading.result()}"]
        await self._session.write(live_chunk())
        return []

    async def aclose(self) -> None:
        await self._channel.close()
        if self._reading is not None:
            await asyncio.gather(self._reading, return_exceptions=True)

    async def faults(self, call: Call) -> list[str]:
        """Make the call; empty where everything about it was as it must be."""
        named = tuple(one.replace(_STAND_IN, self._session_id) for one in call.requests)
        call = replace(call, requests=named)
        endless = call.method.name in _ENDLESS
        answers: list[bytes] = []
        made = self._made(call, FOREVER_S if endless else PATIENCE_S)
        code, details = await _followed(made, call, answers)
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return [] if endless else [f"no end within {PATIENCE_S:g} s"]
        if code in _OURS and details != _LOST:
            return [f"{code.name}: {details}"]
        return list(_wrong(call, answers, code))

    def _made(self, call: Call, timeout_s: float) -> Any:
        method = call.method
        if method.client_streaming:
            return self._channel.stream_stream(call.path)(iter(call.requests), timeout=timeout_s)
        [request] = call.requests
        if method.server_streaming:
            return self._channel.unary_stream(call.path)(request, timeout=timeout_s)
        return self._channel.unary_unary(call.path)(request, timeout=timeout_s)


async def _last(session: Any) -> str:
    """The last that a session said."""
    last = ""
    try:
        while (response := await session.read()) is not grpc.aio.EOF:
            last = str(response)
    except (grpc.aio.AioRpcError, asyncio.CancelledError) as exc:
        last += repr(exc)
    return last


async def _followed(
    made: Any, call: Call, answers: list[bytes]
) -> tuple[grpc.StatusCode, str | None]:
    """Read it to its end, or give it up on the way."""
    try:
        if not call.method.server_streaming:
            answers.append(await made)
        elif call.given_up_after == 0:
            made.cancel()
        else:
            async for answer in made:
                answers.append(answer)
                if len(answers) == call.given_up_after:
                    made.cancel()
    except grpc.aio.AioRpcError as exc:
        return exc.code(), exc.details()
    except asyncio.CancelledError:
        if not made.cancelled():
            raise
    return await made.code(), await made.details()


def _wrong(call: Call, answers: list[bytes], code: grpc.StatusCode) -> Iterator[str]:
    answer_type = GetMessageClass(call.method.output_type)
    read = [answer_type.FromString(answer) for answer in answers]
    for one in read:
        yield from _wrong_event(one)
        if "error" in one.DESCRIPTOR.fields_by_name and one.HasField("error"):
            error = one.error  # type: ignore[attr-defined]  # all that have one have it alike
            if isinstance(error, pb.ErrorResponse) and error.error_type in (
                pb.ERROR_TYPE_INTERNAL,
                pb.ERROR_TYPE_UNSPECIFIED,
            ):
                yield f"an error of type {error.error_type}: {error.message}"
    if call.method.name == "StreamPipeline" and code is grpc.StatusCode.OK:
        last = read[-1].WhichOneof("response") if read else None
        if last not in ("closed", "error"):
            yield f"the last word was {last}"


def _wrong_event(one: Message) -> Iterator[str]:
    if not isinstance(one, control.ControlEvent):
        return
    if one.HasField("error") and one.error.code == control.CONTROL_ERROR_CODE_INTERNAL:
        yield f"an event of an error of ours: {one.error.message}"
    if one.HasField("session_closed"):
        yield f"the session that is attached to has ended: {one.session_closed.detail}"
