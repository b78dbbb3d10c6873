"""What gRPC is told of connections: their limits, and how it notices that one is dead."""

from __future__ import annotations

from typing import Any

from penstock.manifest import ConnectionSettings, Settings

_FRAMING_BYTES = 64 << 10
"""What a message may have around its largest payload."""
_COMPRESSION_LEVELS = {"none": 0, "gzip": 1, "deflate": 3}
"""By level gRPC heeds what a client accepts; an algorithm it would use whatever that is."""
_WINDOW_BYTES = 4 << 20
"""What a stream may send that nobody has read yet, beside the message that is being read.

Where gRPC goes by its own measurements, that grows with how late the service is: it was 140 MB for
each of 16 streams that nobody read.
"""


def server_options(settings: Settings) -> list[tuple[str, Any]]:
    """The arguments of a server's channels."""
    return [
        ("grpc.so_reuseport", 0),  # a second service on the port must fail, not share it
        ("grpc.max_receive_message_length", settings.limits.max_message_bytes + _FRAMING_BYTES),
        ("grpc.max_send_message_length", -1),  # what a call gives is bounded where it is made
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", _WINDOW_BYTES),
        ("grpc.default_compression_level", _COMPRESSION_LEVELS[settings.service.compression]),
        *_connection_options(settings.service.connections),
    ]


def _connection_options(connections: ConnectionSettings) -> list[tuple[str, Any]]:
    times = {
        "grpc.server_handshake_timeout_ms": connections.handshake_timeout_secs,
        "grpc.http2.settings_timeout": connections.handshake_timeout_secs,
        "grpc.max_connection_idle_ms": connections.max_idle_secs,
        "grpc.max_connection_age_ms": connections.max_age_secs,
        "grpc.keepalive_time_ms": connections.keepalive_secs,
        "grpc.http2.ping_timeout_ms": connections.keepalive_timeout_secs,
        "grpc.http2.min_ping_interval_without_data_ms": connections.min_ping_interval_secs,
    }
    return [
        ("grpc.max_allowed_incoming_connections", connections.max_connections),
        ("grpc.max_concurrent_streams", connections.max_streams),
        # else calls count on after they have ended for their client, which begins others
        ("grpc.http.overload_protection", 0),
        ("grpc.max_metadata_size", connections.max_metadata_bytes),
        ("grpc.absolute_max_metadata_size", connections.max_metadata_bytes),
        ("grpc.keepalive_permit_without_calls", 1),
        *((name, round(value * 1000)) for name, value in times.items() if value is not None),
    ]
