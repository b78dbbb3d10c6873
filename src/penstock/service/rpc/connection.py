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
from penstock.service.rpc.datapath import DataPath
from penstock.service.rpc.ends import identity, let_go, other_end
from penstock.service.rpc.engine import PREFACE, Engine, most_decoded
from penstock.service.rpc.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    MAX_WINDOW,
    SETTINGS,
    goaway,
    head,
    headers_frame,
    known_settings,
    parse_head,
    ping,
)
from penstock.service.rpc.headers import (
    BadCallError,
    Headers,
    MalformedCallError,
    NotGrpcError,
    PlainEncoder,
    metadata_refused,
    read_opening,
)
from penstock.service.rpc.inflow import Inflow
from penstock.service.rpc.liveness import Liveness, Verdict

if TYPE_CHECKING:
    from penstock.service.rpc.server import Server

_CALLS_TO_RATE = 4
"""One connection may begin so many times the calls that its caller may; then it waits."""
_METADATA_REFUSED = PlainEncoder().encode(metadata_refused("far more").headers)


class Connection(DataPath, asyncio.Protocol):
    """A ``DataPath`` for data and windows; every other frame is what ``h2`` makes of it.

    ``peer`` is its other end, as gRPC writes it, and ``address`` that without the port.
    """

    def __init__(self, server: Server, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(loop)
        self.address, self.peer = other_end(sock)
        self.auth_context: Mapping[str, Sequence[bytes]] = {}
        self.compression = server.compression
        self.has_called = False
        self._server = server
        self._loop = loop
        self._inflow = Inflow(loop, server.turnstile, self)
        self._liveness = Liveness(server.connections, loop, self._obey)
        self._socket: socket.socket | None = sock
        self._transport: asyncio.Transport | None = None
        self._engine = Engine(server.connections)
        self._greeting: bytes | None = b""
        self._header_bytes = 0
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

    # What comes.

    def _greeted(self, data: bytes) -> bytes:
        """What follows the preface, once all of that is here."""
        if len(data) < len(PREFACE):
            self._greeting = data
            return b""
        self._greeting = None
        self._heed(data[: len(PREFACE)])
        if not self._closing:
            self.grant_all()
        return data[len(PREFACE) :]

    def _take_other(self, kind: int, flags: int, stream: int, payload: bytes) -> bool:
        """Make something of a frame that is neither a call's data nor a window; it costs much."""
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

    def _is_known(self, stream: int) -> bool:
        return stream <= self._engine.highest_inbound_stream_id

    def _end_stream(self, stream: int) -> None:
        self._heed(head(0, DATA, END_STREAM, stream))

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
        except MalformedCallError:
            self._reset(stream, ErrorCodes.PROTOCOL_ERROR)
            return
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
