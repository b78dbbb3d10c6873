"""What makes something of all frames but data and windows: ``h2``, as a server of gRPC has it."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import Event, SettingsAcknowledged
from h2.settings import SettingCodes, Settings
from hpack import Decoder, HeaderTuple

from penstock.manifest import ConnectionSettings
from penstock.service.rpc.frames import (
    ACKNOWLEDGED,
    HEAD_BYTES,
    SETTINGS,
    are_settings,
    parse_head,
    settings,
)
from penstock.service.rpc.headers import LENGTH, Headers, PlainEncoder

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client of HTTP/2 begins with."""
_MOST_GREETING_BYTES = 1 << 10
_MOST_STREAMS = 1 << 30
_DECODED_TO_ALLOWED = 4
_LEAST_DECODED_BYTES = 64 << 10
_CONFIG = H2Configuration(
    client_side=False,
    header_encoding=None,
    validate_inbound_headers=False,  # clients of gRPC say what HTTP wouldn't, as an empty value
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)
logging.getLogger("hpack").setLevel(logging.INFO)  # below that it logs headers, tokens among them


def most_decoded(limits: ConnectionSettings) -> int:
    """How much metadata is read at all, so that it can be said to be too much."""
    return max(limits.max_metadata_bytes * _DECODED_TO_ALLOWED, _LEAST_DECODED_BYTES)


class Engine:
    """``h2`` for one connection, from the first frame on that is no greeting.

    Many greet and say nothing more: they are answered without it, which is half of what they take.
    """

    def __init__(self, limits: ConnectionSettings) -> None:
        self._limits = limits
        self._h2: H2Connection | None = None
        self._greeting = b""
        said = {
            int(SettingCodes.MAX_CONCURRENT_STREAMS): limits.max_streams,
            int(SettingCodes.MAX_HEADER_LIST_SIZE): limits.max_metadata_bytes,
        }
        self._answer = settings(said)

    @property
    def highest_inbound_stream_id(self) -> int:
        """The last call that has been begun."""
        return 0 if self._h2 is None else self._h2.highest_inbound_stream_id

    def receive_data(self, frame: bytes) -> list[Event]:
        """What the preface means, or a frame; raises ``ProtocolError``."""
        if self._h2 is not None:
            return self._h2.receive_data(frame)
        if len(self._greeting) < _MOST_GREETING_BYTES and _greets(frame):
            self._greeting += frame
            if frame == ACKNOWLEDGED:
                return [SettingsAcknowledged()]
            self._answer += b"" if frame == PREFACE else ACKNOWLEDGED
            return []
        self._h2 = _made(self._limits)
        before = self._h2.receive_data(self._greeting)
        self._h2.clear_outbound_data_buffer()  # that has been answered
        return before + self._h2.receive_data(frame)

    def data_to_send(self) -> bytes:
        """What there is to say, this end's settings first."""
        answer, self._answer = self._answer, b""
        return answer if self._h2 is None else answer + self._h2.data_to_send()

    def send_headers(self, stream: int, headers: Headers, *, end_stream: bool) -> None:
        if self._h2 is not None:  # as for all who have begun a call
            self._h2.send_headers(stream, headers, end_stream=end_stream)

    def reset_stream(self, stream: int, code: ErrorCodes) -> None:
        if self._h2 is not None:
            self._h2.reset_stream(stream, code)


def _greets(frame: bytes) -> bool:
    """Whether it is the preface, or settings of which there is nothing to refuse yet."""
    return frame in (PREFACE, ACKNOWLEDGED) or (
        parse_head(frame, 0)[1:] == (SETTINGS, 0, 0) and are_settings(frame[HEAD_BYTES:])
    )


class _Decoder(Decoder):
    """Reads headers so that ``h2`` finds no length among them.

    Over one that is none, or not that of the data, which it doesn't see, it would end the whole
    connection.
    """

    def decode(self, data: bytes, raw: bool = False) -> Iterable[HeaderTuple]:  # noqa: FBT001, FBT002  # as hpack has it
        return [
            HeaderTuple(LENGTH, header[1]) if header[0] == b"content-length" else header
            for header in super().decode(data, raw)
        ]


class _H2(H2Connection):
    """Remembers how the last streams ended, and not 65,536 of them, which take 9 MiB.

    It goes by that where more headers come on a stream that has ended: after a reset they may
    have been under way. What is forgotten ends the connection then.
    """

    MAX_CLOSED_STREAMS = 1 << 10


def _made(limits: ConnectionSettings) -> H2Connection:
    """Of metadata that is too much it takes some more than is allowed.

    That is a call's fault, while one that is far more is the connection's end. Nor does it count
    calls itself, which would be.
    """
    h2 = _H2(_CONFIG)
    h2.encoder = PlainEncoder()  # type: ignore[assignment]  # all that h2 asks of one
    h2.decoder = _Decoder()
    h2.decoder.max_header_list_size = most_decoded(limits)
    h2.local_settings = Settings(
        client=False, initial_values={SettingCodes.MAX_CONCURRENT_STREAMS: _MOST_STREAMS}
    )
    h2.initiate_connection()
    h2.clear_outbound_data_buffer()  # what this end says first is not what h2 goes by
    return h2
