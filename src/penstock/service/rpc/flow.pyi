import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import grpc

from penstock.service.rpc.messages import Assembly, Packed
from penstock.service.rpc.outbox import Outbox, Outflow

AHEAD_BYTES: int
"""What a client may send of a call that is read, beside the message that is being read."""
ENTRY_BYTES: int
"""What a message counts for that nobody has read, beside its bytes: many are empty, or nearly."""

class Flow(Outflow):
    half_closed: bool
    over: bool
    decode: Callable[[bytes], Any] | None
    encode: Callable[[Any], bytes] | None
    at_once: Callable[[Any], bool] | None
    _reader: asyncio.Future[None] | None
    _fault: tuple[grpc.StatusCode, str] | None
    _code: grpc.StatusCode | None
    _began: bool
    _held: int

    def __init__(
        self, stream: int, outbox: Outbox, assembly: Assembly, *, compresses: bool
    ) -> None: ...
    @property
    def _outbox(self) -> Outbox: ...
    @property
    def _assembly(self) -> Assembly: ...
    @property
    def _messages(self) -> deque[bytes | Packed]: ...
    @property
    def _spoken(self) -> asyncio.Event: ...
    def write_nowait(self, message: Any) -> bool: ...
    def half_close(self) -> None: ...
    def grant(self) -> None: ...
    def grant_ahead(self) -> None: ...
    def _note_fault(self, code: grpc.StatusCode, message: str) -> None: ...
    def _wake(self) -> None: ...
