"""What makes something of all frames but data and windows: ``h2``, as a server of gRPC has it."""

from __future__ import annotations

import logging

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes, Settings

from penstock.manifest import ConnectionSettings
from penstock.service.rpc.frames import settings
from penstock.service.rpc.headers import PlainEncoder

PREFACE_BYTES = 24
"""What a client of HTTP/2 begins with."""
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


def opened(limits: ConnectionSettings) -> tuple[H2Connection, bytes]:
    """An engine for a connection on which somebody speaks, and what is said first on that.

    Of metadata that is too much it takes some more than is allowed: that is a call's fault, while
    one that is far more is the connection's end. Nor does it count calls itself, which would be.
    """
    engine = H2Connection(_CONFIG)
    engine.encoder = PlainEncoder()  # type: ignore[assignment]  # all that h2 asks of one
    engine.decoder.max_header_list_size = most_decoded(limits)
    engine.local_settings = Settings(
        client=False, initial_values={SettingCodes.MAX_CONCURRENT_STREAMS: _MOST_STREAMS}
    )
    engine.initiate_connection()
    engine.clear_outbound_data_buffer()
    said = {
        int(SettingCodes.MAX_CONCURRENT_STREAMS): limits.max_streams,
        int(SettingCodes.MAX_HEADER_LIST_SIZE): limits.max_metadata_bytes,
    }
    return engine, settings(said)
