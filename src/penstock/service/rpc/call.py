"""One call: what its handler reads and writes, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, TypeVarTuple

import grpc

from penstock.service.rpc.flow import ENTRY_BYTES, Flow
from penstock.service.rpc.headers import Metadata, Opening, response_headers, trailers
from penstock.service.rpc.messages import Assembly, BadMessageError, Packed, compressed

if TYPE_CHECKING:
    from penstock.service.rpc.connection import Connection

HOLD_S = 0.05
"""How long an end that could be told at once waits for the client's first message."""
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


class UnreadableError(Exception):
    """What comes of a call is no message, or too long a one; ``code`` is what that ends with.

    ``most`` is how many bytes a message may have.
    """

    def __init__(self, code: grpc.StatusCode, message: str, most: int) -> None:
        super().__init__(message)
        self.code = code
        self.most = most


class Call(Flow):
    """What a handler has of a call, beside its messages."""

    def __init__(self, connection: Connection, stream: int, opening: Opening, most: int) -> None:
        asked = connection.compression
        self._compression = asked if asked in opening.accepted else "identity"
        compresses = self._compression != "identity"
        assembly = Assembly(most, opening.encoding)
        super().__init__(stream, connection.outbox, assembly, compresses=compresses)
        self.method = opening.method
        self.serving: asyncio.Task[None] | None = None
        self._connection = connection
        self._opening = opening
        self._deadline: float | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._read_at_once = 0
        self._writers: deque[asyncio.Future[None]] = deque()
        self._message = ""
        self._trailing: Metadata = ()
        self._callbacks: list[Callable[[Call], object]] = []
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
        """The next message, or ``grpc.aio.EOF``; raises ``CallOverError``, ``UnreadableError``.

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
                raise self._unreadable(*self._fault)
            if self.half_closed:
                return grpc.aio.EOF
            self.grant()
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        message = self._messages.popleft()
        self._held -= len(message) + ENTRY_BYTES
        self.grant_ahead()
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
        if not self._outbox.send(self, data, is_packed):
            writer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._writers.append(writer)
            await writer
        elif self._outbox.has_been_full:  # others have their turn
            await asyncio.sleep(0)

    def ask_anew(self) -> None:
        """Its client is about to read faster than it did: what waits for that is not to wait."""
        self._outbox.ask_anew(self)

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

    def sent(self) -> None:
        """All that was unsent has been sent."""
        while self._writers:
            writer = self._writers.popleft()
            if not writer.done():
                writer.set_result(None)
        if self._code is not None:
            self.tell_end()

    async def _unpacked(self, message: Packed) -> bytes:
        try:
            return await _aside(len(message) * _MOST_RATIO, message.expanded)
        except BadMessageError as exc:
            raise self._unreadable(exc.code, str(exc)) from exc
        except asyncio.CancelledError:
            self._messages.appendleft(message)
            self._held += len(message) + ENTRY_BYTES
            raise

    def _unreadable(self, code: grpc.StatusCode, message: str) -> UnreadableError:
        """Nothing can be read, now or ever."""
        return UnreadableError(code, message, self._assembly.most)

    def _expire(self) -> None:
        self.fail(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")

    def _stop(self) -> None:
        if self.serving is not None and not self.serving.done():
            self.serving.cancel()

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
