"""Why a call was refused, for programs: ``google.rpc.Status`` with details of the standard."""

from __future__ import annotations

from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from penstock.wire.stream_errors import DETAILS_KEY

DOMAIN = "penstock"
"""Whose reasons these are."""


def refusal_details(
    code: int, message: str, reason: str, retry_s: float | None = None
) -> tuple[tuple[str, bytes]]:
    """Trailing metadata for a call that is refused for a ``reason`` such as ``TOKEN_UNKNOWN``.

    ``retry_s`` is when it may be worth to try again; None: it isn't. Clients compare ``code`` and
    ``message`` with those that the call ends with.
    """
    details: list[Message] = [ErrorInfo(reason=reason, domain=DOMAIN)]
    if retry_s is not None:
        retry = RetryInfo()
        retry.retry_delay.FromNanoseconds(round(retry_s * 1e9))
        details.append(retry)
    status = Status(code=code, message=message, details=[_packed(one) for one in details])
    return ((DETAILS_KEY, status.SerializeToString()),)


def _packed(message: Message) -> Any:
    packed = Any()
    packed.Pack(message)
    return packed
