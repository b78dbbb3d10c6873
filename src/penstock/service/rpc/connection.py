"""One client's connection: its frames become calls, and what becomes of these goes back."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from h2.errors import ErrorCodes
from h2.events import (
    Event,
    PingReceived,
    RemoteSettingsChanged,
    RequestReceived,
    SettingsAcknowledged,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import DenialOfServiceError, ProtocolError
from h2.settings import SettingCodes

from penstock.service.rpc.call import Call
from penstock.service.rpc.ends import identity, let_go, other_end
from penstock.service.rpc.engine import PREFACE, Engine, most_decoded
from penstock.service.rpc.frames import (
    CONTINUATION,
    DATA,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    MAX_WINDOW,
    PADDED,
    SETTINGS,
    WINDOW_UPDATE,
    goaway,
    head,
    headers_frame,
    known_settings,
    parse_head,
    ping,
    unpadded,
    window_update,
)
from penstock.service.rpc.headers import (
    BadCallError,
    Headers,
    NotGrpcError,
    PlainEncoder,
    metadata_refused,
    read_opening,
)
from penstock.service.rpc.inflow import Inflow
from penstock.service.rpc.liveness import Liveness, Verdict
from penstock.service.rpc.outbox import Outbox

if TYPE_CHECKING:
    from penstock.service.rpc.server import Server

_UPDATE_BYTES = 4
_CALLS_TO_RATE = 4
"""One connection may begin so many times the calls that its caller may; then it waits."""
_METADATA_REFUSED = PlainEncoder().encode(metadata_refused("far more").headers)


class Connection(asyncio.Protocol):
    """Data and windows are its own; every other frame is what ``h2`` makes of it.

    ``peer`` is its other end, as gRPC writes it, and ``address`` that without the port.
    """

    def __init__(self, server: Server, sock: socket.socket) -> None:
        self.address, self.peer = other_end(sock)
        self.auth_context: Mapping[str, Sequence[bytes]] = {}
        self.compression = server.compression
        self.calls: dict[int, Call] = {}
        self.has_called = False
        self._server = server
        self._loop = asyncio.get_running_loop()
        self.outbox = Outbox(self._loop)
        self._inflow = Inflow(self._loop, server.turnstile, self._take, self._refuse_frame)
        self._liveness = Liveness(server.connections, self._loop, self._obey)
        self._socket: socket.socket | None = sock
        self._transport: asyncio.Transport | None = None
        self._engine = Engine(server.connections)
        self._greeting: bytes | None = b""
        self._within_headers = False
        self._header_bytes = 0
        self._granted = DEFAULT_WINDOW
        self._leaving = False
        self._closing = False

    # What the transport tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._socket = cast("asyncio.Transport", transport), None
        self.auth_context = identity(transport)
        self._inflow.open(self._transport)
        self.outbox.open(self._transport)
        self._liveness.begin()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            let_go(self._transport)
        self._transport = None
        self._leaving = self._closing = True
        self._liveness.end()
        self._inflow.close()
        self._lose_calls()
        self.outbox.close()
        self._server.left(self)

    def eof_received(self) -> None:
        """Its client is done with all of it."""

    def pause_writing(self) -> None:
        self.outbox.blocked = True

    def resume_writing(self) -> None:
        self.outbox.resume()

    def data_received(self, data: bytes) -> None:
        self._liveness.heard()
        if self._greeting is not None and not self._closing:
            data = self._greeted(self._greeting + data)
        if data and not self._closing:
            self._inflow.add(data)

    # What the server and its calls ask for.

    @property
    def is_used(self) -> bool:
        """Whether it has a call in progress."""
        return bool(self.calls)

    def close(self) -> None:
        """Take no call any more, and go when the last has ended."""
        if self._leaving:
            return
        self._leaving = True
        if self._greeting is None:
            self.outbox.push(goaway(self._engine.highest_inbound_stream_id, ErrorCodes.NO_ERROR))
        if self._transport is None:
            self.abort()
        elif not self.calls:
            self._leave()

    def abort(self) -> None:
        """Be gone at once."""
        if self._transport is not None:
            self._transport.abort()
        elif self._socket is not None:  # it is being encrypted, which fails
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def begin(self, call: Call, headers: Headers) -> None:
        """Send what an answer begins with."""
        self._say(call.stream, headers, end=False)

    def end(self, call: Call, headers: Headers) -> None:
        """Send what an answer ends with, of which all else has been sent."""
        self._say(call.stream, headers, end=True)
        if not call.half_closed:
            self._reset(call.stream, ErrorCodes.NO_ERROR)
        self._forget(call)

    def reset(self, call: Call, code: ErrorCodes = ErrorCodes.CANCEL) -> None:
        """End a call of which nothing more is to be said."""
        self._reset(call.stream, code)
        self._forget(call)
        call.lose()

    def grant(self, call: Call, by: int) -> None:
        """Let a client send more of a call."""
        self.outbox.push(window_update(call.stream, by))

    # What comes.

    def _greeted(self, data: bytes) -> bytes:
        """What follows the preface, once all of that is here."""
        if len(data) < len(PREFACE):
            self._greeting = data
            return b""
        self._greeting = None
        self._heed(data[: len(PREFACE)])
        if not self._closing:
            self._use(0)
        return data[len(PREFACE) :]

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> bool:
        """Make something of a frame; whether it cost much."""
        call = self.calls.get(stream)
        is_ours = not self._within_headers and (call is not None or self._is_known(stream))
        if is_ours and kind == DATA and stream:
            return self._take_data(call, stream, flags, payload)
        if is_ours and kind == WINDOW_UPDATE and len(payload) == _UPDATE_BYTES:
            return self._widen(call, stream, int.from_bytes(payload, "big") & MAX_WINDOW)
        if kind != GOAWAY or self._within_headers:  # who goes away still waits for its calls
            self._within_headers = kind in (HEADERS, CONTINUATION) and not flags & END_HEADERS
            if kind == SETTINGS:
                payload = known_settings(payload)
            elif self._has_too_much(kind, len(payload)):
                self._refuse_metadata(stream)
                self._break(ErrorCodes.ENHANCE_YOUR_CALM)
                return True
            self._heed(head(len(payload), kind, flags, stream) + payload)
        return True

    def _has_too_much(self, kind: int, size: int) -> bool:
        """Whether headers are longer, in parts, than they could be when they are all there."""
        if kind != CONTINUATION:
            self._header_bytes = 0
        self._header_bytes += size
        return kind == CONTINUATION and self._header_bytes > most_decoded(self._server.connections)

    def _refuse_metadata(self, stream: int) -> None:
        self.outbox.push(headers_frame(stream, _METADATA_REFUSED, end=True))

    def _refuse_frame(self) -> None:
        self._break(ErrorCodes.FRAME_SIZE_ERROR)

    def _is_known(self, stream: int) -> bool:
        return stream <= self._engine.highest_inbound_stream_id

    def _take_data(self, call: Call | None, stream: int, flags: int, payload: bytes) -> bool:
        size = len(payload)
        self._use(size)
        if call is None:
            return True  # it was under way when its call ended
        if call.half_closed:
            self.reset(call, ErrorCodes.STREAM_CLOSED)
            return True
        if not call.has_granted(size):
            self.reset(call, ErrorCodes.FLOW_CONTROL_ERROR)
            return True
        data: bytes | None = payload
        if flags & PADDED:
            data = unpadded(payload)
            if data is None:
                self._break(ErrorCodes.PROTOCOL_ERROR)
                return True
        if data:
            call.take(data)
        if flags & END_STREAM and not call.over:
            self._heed(head(0, DATA, END_STREAM, stream))
        return not data

    def _use(self, size: int) -> None:
        """Of all calls together as much may come as they may each."""
        self._granted -= size
        if self._granted < MAX_WINDOW // 2:
            by = MAX_WINDOW - self._granted
            self._granted += by
            self.outbox.push(window_update(0, by))

    def _widen(self, call: Call | None, stream: int, by: int) -> bool:
        if (stream and call is None) or self.outbox.widen(by, call):
            return False
        code = ErrorCodes.FLOW_CONTROL_ERROR if by else ErrorCodes.PROTOCOL_ERROR
        if call is None:
            self._break(code)
        else:
            self.reset(call, code)
        return True

    def _heed(self, frame: bytes) -> None:
        """Have ``h2`` make something of a frame."""
        try:
            events = self._engine.receive_data(frame)
        except ProtocolError as exc:
            if isinstance(exc, DenialOfServiceError):  # by what it has in its headers
                _, _, _, stream = parse_head(frame, 0)
                self._refuse_metadata(stream)
            self._tell()
            self._leave()
            return
        for event in events:
            self._follow(event)
        self._tell()

    def _follow(self, event: Event) -> None:
        match event:
            case RequestReceived():
                self._begin_call(event)
            case StreamEnded() if (call := self.calls.get(event.stream_id)) is not None:
                call.half_close()
            case StreamReset() if (call := self.calls.get(event.stream_id)) is not None:
                self._forget(call)
                call.lose()
            case RemoteSettingsChanged():
                self._adapt(event)
            case SettingsAcknowledged():
                self._liveness.confirmed = True
            case PingReceived():
                sent, self.outbox.has_sent = self.outbox.has_sent, False
                if not self._liveness.allows_ping(sent=sent):
                    self._break(ErrorCodes.ENHANCE_YOUR_CALM, b"too_many_pings")

    def _adapt(self, event: RemoteSettingsChanged) -> None:
        changed = event.changed_settings
        if (change := changed.get(SettingCodes.MAX_FRAME_SIZE)) is not None:
            self.outbox.take_payloads(change.new_value)
        if (change := changed.get(SettingCodes.INITIAL_WINDOW_SIZE)) is not None:
            by = change.new_value - self.outbox.call_window
            self.outbox.call_window = change.new_value
            for call in self.calls.values():
                call.lead.shift(by)
            if any(call.lead.window > MAX_WINDOW for call in self.calls.values()):
                self._break(ErrorCodes.FLOW_CONTROL_ERROR)
            else:
                self.outbox.drain()

    def _begin_call(self, event: RequestReceived) -> None:
        stream, limits = event.stream_id, self._server.connections
        each_s = 1 / (limits.max_call_rate_per_peer * _CALLS_TO_RATE)
        self._inflow.wait_until = max(self._inflow.wait_until, self._loop.time() - 1) + each_s
        if self._leaving or len(self.calls) >= limits.max_streams:
            self._reset(stream, ErrorCodes.REFUSED_STREAM)
            return
        try:
            opening = read_opening(event.headers, limits.max_metadata_bytes)
        except (NotGrpcError, BadCallError) as exc:
            self._say(stream, exc.headers, end=True)
            if event.stream_ended is None:
                self._reset(stream, ErrorCodes.NO_ERROR)
            return
        self.calls[stream] = call = Call(self, stream, opening, self._server.most_bytes)
        call.half_closed = event.stream_ended is not None
        self.has_called = True
        self._liveness.note_calls(len(self.calls))
        self._server.serve(call)

    # What goes.

    def _tell(self) -> None:
        """Send what ``h2`` has to say."""
        self.outbox.push(self._engine.data_to_send())

    def _say(self, stream: int, headers: Headers, *, end: bool) -> None:
        self.outbox.has_sent = True
        self._engine.send_headers(stream, headers, end_stream=end)
        self._tell()

    def _reset(self, stream: int, code: ErrorCodes) -> None:
        self._engine.reset_stream(stream, code)
        self._tell()

    def _forget(self, call: Call) -> None:
        self.outbox.forget(call)
        self.calls.pop(call.stream, None)
        self._liveness.note_calls(len(self.calls))
        if self._leaving and not self.calls:
            self._leave()

    def _obey(self, verdict: Verdict) -> None:
        match verdict:
            case Verdict.IS_PINGED:
                self.outbox.push(ping())
            case Verdict.LEAVES:
                self.close()
            case Verdict.IS_GONE:
                self.abort()

    def _break(self, code: ErrorCodes, why: bytes = b"") -> None:
        """Say what is wrong with the connection, and end it."""
        self.outbox.push(goaway(self._engine.highest_inbound_stream_id, code, why))
        self._leave()

    def _leave(self) -> None:
        """Close it behind what has been written; calls that it still has are lost."""
        self._leaving = self._closing = True
        self._inflow.close()
        self._lose_calls()
        self.outbox.flush()
        if self._transport is not None:
            self._transport.close()

    def _lose_calls(self) -> None:
        for call in list(self.calls.values()):
            call.lose()
        self.calls.clear()
