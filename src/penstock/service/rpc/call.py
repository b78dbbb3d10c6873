"""One call: what its handler reads and writes, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, TypeVarTuple

import grpc

from penstock.service.rpc.frames import DEFAULT_WINDOW, MAX_PAYLOAD_BYTES
from penstock.service.rpc.headers import Metadata, Opening, response_headers, trailers
from penstock.service.rpc.lead import Lead
from penstock.service.rpc.messages import (
    Assembly,
    BadMessageError,
    Packed,
    compressed,
    prefix,
)

if TYPE_CHECKING:
    from penstock.service.rpc.connection import Connection

HOLD_S = 0.05
"""How long an end that could be told at once waits for the client's first message."""
AHEAD_BYTES = 4 << 20
"""What a client may send of a call that is read, beside the message that is being read."""
_ENTRY_BYTES = 64
"""What a message counts for that nobody has read, beside its bytes: many are empty, or nearly."""
_READ_AT_ONCE = 16
"""So many messages are read without a wait, then others have their turn."""
_QUICK_BYTES = 1 << 20
"""So much is compressed, or expanded, in a turn of the loop: a few milliseconds."""
_MOST_RATIO = 1032
"""What a byte can expand to, at most (zlib)."""
_Answer = TypeVar("_Answer")
_Args = TypeVarTuple("_Args")


class CallOverError(grpc.aio.BaseError):
    """There is nobody any more to read from, or to write to."""


class Call:
    """What a handler has of a call, beside its messages.

    ``lead`` is how much its client takes, and ``unsent`` what it has no room for yet. While
    somebody waits for a message, ``at_once`` is called with each short one where it comes, and says
    whether it has taken it: what it hasn't is read, and what it raises ``read`` raises.
    """

    def __init__(self, connection: Connection, stream: int, opening: Opening, most: int) -> None:
        self.stream = stream
        self.method = opening.method
        self.half_closed = False
        self.over = False
        self.lead = Lead(connection.outbox.call_window)
        self._outbox = connection.outbox
        self.unsent: deque[memoryview] = deque()
        self.serving: asyncio.Task[None] | None = None
        self.decode: Callable[[bytes], Any] | None = None
        self.encode: Callable[[Any], bytes] | None = None
        self.at_once: Callable[[Any], bool] | None = None
        self._connection = connection
        self._opening = opening
        self._deadline: float | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._assembly = Assembly(most, opening.encoding)
        self._messages: deque[bytes | Packed] = deque()
        self._held = 0
        self._read_at_once = 0
        self._spoken = asyncio.Event()
        self._fault: tuple[grpc.StatusCode, str] | None = None
        self._granted = DEFAULT_WINDOW
        self._reader: asyncio.Future[None] | None = None
        self._writers: deque[asyncio.Future[None]] = deque()
        self._began = False
        self._code: grpc.StatusCode | None = None
        self._message = ""
        self._trailing: Metadata = ()
        self._callbacks: list[Callable[[Call], object]] = []
        asked = connection.compression
        self._compression = asked if asked in opening.accepted else "identity"
        if opening.timeout_s is not None:
            loop = asyncio.get_running_loop()
            self._deadline = loop.time() + opening.timeout_s
            self._expiry = loop.call_at(self._deadline, self._expire)

    def invocation_metadata(self) -> Metadata:
        return self._opening.metadata

    def peer(self) -> str:
        """The other end, as gRPC writes it: ``ipv4:HOST:PORT``, ``ipv6:…`` or ``unix:``."""
        return self._connection.peer

    def auth_context(self) -> Mapping[str, Sequence[bytes]]:
        """What the client's certificate says, where it has shown one."""
        return self._connection.auth_context

    def time_remaining(self) -> float | None:
        """Seconds to the client's deadline, where it has one."""
        if self._deadline is None:
            return None
        return max(self._deadline - asyncio.get_running_loop().time(), 0.0)

    def code(self) -> grpc.StatusCode | None:
        """What the call has ended with, on this side."""
        return self._code

    def set_trailing_metadata(self, metadata: Metadata) -> None:
        self._trailing = tuple(metadata)

    def add_done_callback(self, callback: Callable[[Any], object]) -> None:
        """Have it called when the last of the call has been sent, or its client has left."""
        if self.over:
            callback(self)
        else:
            self._callbacks.append(callback)

    async def heard(self) -> None:
        """Wait until some of its first message has come, for a while; an end that is told at once.

        A client on grpc.aio takes one that comes before it wrote for INTERNAL (grpc/grpc#36066).
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HOLD_S):
                await self._spoken.wait()

    async def read(self) -> Any:
        """The next message, or ``grpc.aio.EOF``; raises ``CallOverError``.

        Who is cancelled has taken nothing. One that is here already is read without a wait, but
        for some: who reads all that has come keeps nobody else waiting.
        """
        self._read_at_once += 1
        if self._read_at_once > _READ_AT_ONCE:
            self._read_at_once = 0
            await asyncio.sleep(0)
        while not self._messages:
            if self.over:
                raise CallOverError
            if self._fault is not None:
                self.fail(*self._fault)
                raise CallOverError
            if self.half_closed:
                return grpc.aio.EOF
            self._grant(max(self._ahead, self._assembly.missing))
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        message = self._messages.popleft()
        self._held -= len(message) + _ENTRY_BYTES
        self._grant(self._ahead)
        if isinstance(message, Packed):
            message = await self._unpacked(message)
        return message if self.decode is None else self.decode(message)

    async def write(self, message: Any) -> None:
        """Send one; returns when the connection has it, raises ``CallOverError``.

        Tasks that write to one call take turns: a long message is compressed on a thread.
        """
        data = message if self.encode is None else self.encode(message)
        is_packed = False
        if self._compression != "identity":
            packed = await _aside(len(data), compressed, data, self._compression)
            is_packed = len(packed) < len(data)
            data = packed if is_packed else data
        if self._code is not None or self.over:
            raise CallOverError
        if not self._began:
            self._began = True
            self._connection.begin(self, response_headers(self._compression))
        if not self._outbox.send(self, prefix(len(data), compressed=is_packed), data):
            writer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._writers.append(writer)
            await writer
        elif self._outbox.has_been_full:  # others have their turn
            await asyncio.sleep(0)

    def write_nowait(self, message: Any) -> bool:
        """As ``write``, where nothing has to wait and others have had their turn; whether so."""
        is_free = self._began and self._code is None and not self.over
        if not is_free or self._compression != "identity" or self._outbox.has_been_full:
            return False
        data = message if self.encode is None else self.encode(message)
        return self._outbox.send_nowait(self, prefix(len(data)), data)

    async def abort(self, code: grpc.StatusCode, details: str = "") -> NoReturn:
        """End the call behind what has been written; raises ``grpc.aio.AbortError``."""
        if self._code is not None or self.over:
            raise CallOverError
        self.finish(code, details)
        raise grpc.aio.AbortError("the call has been ended")

    def finish(self, code: grpc.StatusCode, message: str = "") -> None:
        """The last word, behind what has been written; one that comes too late changes nothing."""
        if self._code is not None or self.over:
            return
        self._code, self._message = code, message
        if not self.unsent:
            self.tell_end()

    def tell_end(self) -> None:
        """Everything before it has been sent."""
        said = trailers(self._code or grpc.StatusCode.OK, self._message, self._trailing)
        if not self._began:
            said = response_headers("identity") + said
        self._connection.end(self, said)
        self._close()

    @property
    def is_ending(self) -> bool:
        """Whether nothing but its end is to be told any more."""
        return self._code is not None

    def fail(self, code: grpc.StatusCode, message: str) -> None:
        """End the call at once, whatever it is at."""
        if self.over:
            return
        self.unsent.clear()
        if self._code is None:
            self.finish(code, message)
        else:
            self.tell_end()
        self._stop()

    def reset(self) -> None:
        """End the call without a word."""
        self._connection.reset(self)

    def lose(self) -> None:
        """Its client has left."""
        self._close()
        self._stop()

    def has_granted(self, nbytes: int) -> bool:
        """Whether so much could come; its window is less by that."""
        self._granted -= nbytes
        return self._granted >= 0

    def take(self, data: bytes) -> None:
        """What has come."""
        self._spoken.set()
        if self._code is not None or self.over:
            return  # nobody reads it any more, nor is there room for much
        if self._fault is not None:
            return
        try:
            messages: Sequence[bytes | Packed] = self._assembly.add(data)
        except BadMessageError as exc:
            messages = exc.before
            self._note_fault(exc.code, str(exc))
        if len(messages) == 1 and self._is_taken_at_once(messages[0]):
            self._grant(max(self._ahead, self._assembly.missing))
        elif messages:
            self._held += sum(map(len, messages)) + len(messages) * _ENTRY_BYTES
            self._messages.extend(messages)
            self._wake()
        elif self._reader is not None and not self._reader.done():
            self._grant(max(self._ahead, self._assembly.missing))

    def half_close(self) -> None:
        """Nothing more comes."""
        self._spoken.set()
        self.half_closed = True
        if self._assembly.has_begun and self._fault is None:
            self._note_fault(grpc.StatusCode.INVALID_ARGUMENT, "the stream ended within a message")
        self._wake()

    def sent(self) -> None:
        """All that was unsent has been sent."""
        while self._writers:
            writer = self._writers.popleft()
            if not writer.done():
                writer.set_result(None)
        if self._code is not None:
            self.tell_end()

    def _note_fault(self, code: grpc.StatusCode, message: str) -> None:
        """What is wrong with what has come: told when somebody comes to read it."""
        self._fault = code, message
        self._wake()

    def _is_taken_at_once(self, message: bytes | Packed) -> bool:
        """Whether who waits for a message has taken one that would wake him, or fails by it."""
        reader = self._reader
        if self.at_once is None or reader is None or reader.done():
            return False
        if isinstance(message, Packed) or len(message) > MAX_PAYLOAD_BYTES:
            return False
        try:
            return self.at_once(message if self.decode is None else self.decode(message))
        except Exception as exc:  # noqa: BLE001  # the reader's, who raises it
            reader.set_exception(exc)
            return True

    async def _unpacked(self, message: Packed) -> bytes:
        try:
            return await _aside(len(message) * _MOST_RATIO, message.expanded)
        except BadMessageError as exc:
            self.fail(exc.code, str(exc))
            raise CallOverError from exc
        except asyncio.CancelledError:
            self._messages.appendleft(message)
            self._held += len(message) + _ENTRY_BYTES
            raise

    @property
    def _ahead(self) -> int:
        """What may come while nobody waits for it, beside what has and wasn't read."""
        return AHEAD_BYTES - self._held - self._assembly.begun_bytes

    def _grant(self, wished: int) -> None:
        """Have so much on its way, or more; a little less than could be is no matter."""
        lacking = wished - self._granted
        if lacking >= min(wished, AHEAD_BYTES // 2) and lacking > 0 and not self.half_closed:
            self._granted += lacking
            self._connection.grant(self, lacking)

    def _expire(self) -> None:
        self.fail(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")

    def _stop(self) -> None:
        if self.serving is not None and not self.serving.done():
            self.serving.cancel()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _close(self) -> None:
        """The call is over, for both ends."""
        if self.over:
            return
        self.over = True
        if self._expiry is not None:
            self._expiry.cancel()
        self.unsent.clear()
        self._messages.clear()
        self._assembly.clear()  # now, whoever still has the call
        self._wake()
        while self._writers:
            writer = self._writers.popleft()
            if not writer.done():
                writer.set_exception(CallOverError())
        for callback in self._callbacks:
            callback(self)
        self._callbacks.clear()


async def _aside(nbytes: int, work: Callable[[*_Args], _Answer], *args: *_Args) -> _Answer:
    """Do what may be long on a thread."""
    if nbytes <= _QUICK_BYTES:
        return work(*args)
    return await asyncio.to_thread(work, *args)
