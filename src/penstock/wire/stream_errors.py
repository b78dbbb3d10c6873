"""A stream's failure as the status details that end it: ``google.rpc.Status``, packed.

The ``ErrorResponse`` on the stream says everything. What is packed here says what it means for
the stream, and must fit into trailing metadata, of which a client takes 8 KiB by default.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from google.protobuf.any_pb2 import Any
from google.rpc.status_pb2 import Status

from penstock.errors import (
    InputError,
    NodeTimeoutError,
    PenstockError,
    ResourceLimitError,
    SequenceError,
    ServiceError,
    SessionCancelledError,
    SessionIdleError,
    StallError,
)
from penstock.wire.errors import encode_error
from penstock.wire.v1 import common_pb2
from penstock.wire.v1 import streaming_pb2 as pb

_PREFIX = "STREAM_ERROR_"
DETAILS_KEY: Final = "grpc-status-details-bin"
MESSAGE_BYTES = 2048
"""What is packed of an error's message; the whole of it is on the stream."""
NODE_ID_BYTES = 256

_TYPES: tuple[tuple[type[PenstockError], pb.StreamErrorType], ...] = (
    (SequenceError, pb.STREAM_ERROR_INVALID_SEQUENCE),
    (StallError, pb.STREAM_ERROR_BUFFER_OVERFLOW),
    (SessionIdleError, pb.STREAM_ERROR_TIMEOUT),
    (NodeTimeoutError, pb.STREAM_ERROR_TIMEOUT),
)
_BY_RESOURCE = {
    "max_timeout_ms": pb.STREAM_ERROR_TIMEOUT,
    "max_message_bytes": pb.STREAM_ERROR_BUFFER_OVERFLOW,
    "max_audio_samples": pb.STREAM_ERROR_BUFFER_OVERFLOW,
}


class InitRequiredError(InputError):
    """A stream that doesn't begin with ``init``, or ends before it."""

    def __init__(self, found: str) -> None:
        self.found = found
        super().__init__(f"the first message must be init, got {found}")


def stream_error_type(error: PenstockError) -> pb.StreamErrorType:
    """What a failure is to the stream; ``EXECUTION`` where only its pipeline knows."""
    if isinstance(error, InitRequiredError):
        return pb.STREAM_ERROR_INIT_REQUIRED
    if isinstance(error, SessionCancelledError) and error.reason == error.CLIENT_LEFT:
        return pb.STREAM_ERROR_CLIENT_DISCONNECT
    if isinstance(error, ResourceLimitError):
        return _BY_RESOURCE.get(error.resource, pb.STREAM_ERROR_EXECUTION)
    fitting = (number for cls, number in _TYPES if isinstance(error, cls))
    return next(fitting, pb.STREAM_ERROR_EXECUTION)


def status_details(
    error: PenstockError, session_id: str, code: int, message: str
) -> tuple[tuple[str, bytes]]:
    """Trailing metadata for a stream that ends because of an error.

    Clients compare ``code`` and ``message`` with those that the call ends with.
    """
    packed = Any()
    packed.Pack(_stream_error(error, session_id))
    status = Status(code=code, message=message, details=[packed])
    return ((DETAILS_KEY, status.SerializeToString()),)


def note_details(error: ServiceError, metadata: Iterable[tuple[str, str | bytes]]) -> None:
    """Have a client's exception say what the trailing metadata of its stream say."""
    for key, value in metadata:
        if key == DETAILS_KEY and isinstance(value, bytes):
            _note(error, Status.FromString(value))


def _note(error: ServiceError, status: Status) -> None:
    said = pb.StreamErrorResponse()
    for packed in status.details:
        if packed.Unpack(said):
            name = pb.StreamErrorType.Name(said.stream_error_type)
            error.stream_error = name.removeprefix(_PREFIX)
            error.sequence = said.failing_sequence


def _stream_error(error: PenstockError, session_id: str) -> pb.StreamErrorResponse:
    whole = encode_error(error)
    return pb.StreamErrorResponse(
        base_error=common_pb2.ErrorResponse(
            error_type=whole.error_type,
            message=_cut(whole.message, MESSAGE_BYTES),
            failing_node_id=_cut(whole.failing_node_id, NODE_ID_BYTES),
        ),
        stream_error_type=stream_error_type(error),
        failing_sequence=getattr(error, "sequence", None) or 0,
        session_id=session_id,
    )


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode(errors="ignore")
