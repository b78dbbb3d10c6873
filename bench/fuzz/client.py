"""Makes the calls, as bytes, and judges how each of them ended."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf.message_factory import GetMessageClass

from bench.fuzz.calls import Call
from penstock.wire.v1 import common_pb2 as pb

PATIENCE_S = 30.0
"""How long a call may take, whose client has said all that it will say."""
FOREVER_S = 0.03
"""How long a call is listened to that the protocol gives no end."""
_ENDLESS = frozenset({"Watch", "Attach"})
_OURS = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE})
_LOST = "Internal error from Core"
"""What gRPC says on this side where a call ended while the client wrote."""
_OPTIONS = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))


class Client:
    """One channel to the service; ``faults`` says what a call showed that must not be."""

    def __init__(self, address: str) -> None:
        self._channel: Any = grpc.aio.insecure_channel(address, options=_OPTIONS)

    async def aclose(self) -> None:
        await self._channel.close()

    async def faults(self, call: Call) -> list[str]:
        """Make the call; empty where everything about it was as it must be."""
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
