"""How a service meets its clients: ``[service]`` of ``penstock.toml``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from penstock.errors import Fault
from penstock.manifest.faults import path_of
from penstock.manifest.schema import Document

Compression = Literal["none", "deflate", "gzip"]
_FilePath = Annotated[str, Field(min_length=1)]
_Seconds = Annotated[float, Field(gt=0, le=7 * 86_400)]
_Number = Annotated[int, Field(ge=1, le=1 << 20)]


class PrewarmSettings(Document):
    """Keeps ``count`` processes of a node type ready, which have set it up with ``params``."""

    node_type: Annotated[str, Field(min_length=1)]
    params: dict[str, Any] = Field(default_factory=dict)
    count: Annotated[int, Field(ge=1, le=1000)] = 1


class TlsSettings(Document):
    """``[service.tls]``: PEM files, which are read again when they change.

    With ``client_ca`` each client must show a certificate that one of its authorities has signed.
    """

    certificate: _FilePath
    key: _FilePath
    client_ca: _FilePath | None = None


class ConnectionSettings(Document):
    """``[service.connections]``: what connections, and calls on them, may take.

    ``max_connections`` are open at a time, a quarter of them kept free for newcomers by closing
    some that have no call; with ``max_streams`` calls on each, and with
    ``max_calls`` on all together, ``max_calls_per_peer`` of them of one token, certificate or
    address, which may have ``max_sessions_per_peer`` sessions; of more than
    ``max_call_rate_per_peer`` calls that it begins in a second, the others wait. A call's first
    message has ``first_message_secs`` to come, from when it is read: those of
    ``max_openings_per_peer`` calls of the same are read at a time, and of ``max_openings`` of all
    callers; the others wait. A connection has
    ``handshake_timeout_secs`` to begin to speak gRPC; one without a call for ``max_idle_secs``
    is closed, one that is ``max_age_secs`` old too, once its calls have ended (None: never). A
    client whose host is gone is noticed by pings, each ``keepalive_secs``, that it doesn't answer
    within ``keepalive_timeout_secs``; one that pings more often than each
    ``min_ping_interval_secs`` is cut off.
    """

    max_connections: _Number = 10_000
    max_streams: _Number = 100
    max_calls: _Number = 2000
    max_calls_per_peer: _Number = 1000
    max_call_rate_per_peer: Annotated[float, Field(ge=1, le=1e6)] = 500.0
    max_sessions_per_peer: _Number | None = None
    first_message_secs: _Seconds = 60.0
    max_openings_per_peer: _Number = 8
    max_openings: _Number = 32
    max_metadata_bytes: Annotated[int, Field(ge=1024, le=1 << 20)] = 16 << 10
    handshake_timeout_secs: _Seconds = 10.0
    max_idle_secs: _Seconds | None = None
    max_age_secs: _Seconds | None = None
    keepalive_secs: _Seconds = 20.0
    keepalive_timeout_secs: _Seconds = 10.0
    min_ping_interval_secs: _Seconds = 10.0


class ServiceSettings(Document):
    """``[service]``: ``bind`` is ``HOST:PORT`` or ``unix:PATH``.

    A stream's client hears of its metrics every ``metrics_interval_secs``. A session that
    neither gets an input nor gives an output for ``session_idle_secs`` is ended (None: never).
    The client of one that is over, but not read to its end, has ``unread_secs`` for each message.
    A service that is told to stop gives its sessions ``drain_secs`` to finish. ``spare_hosts``
    processes wait to be a session's host; ``prewarm`` says which nodes' processes wait too.
    Clients may name files below the folders ``files``, and no others. Where ``tokens`` names a
    file, a client needs one of its tokens, but for the health service with ``open_health``.
    ``reflection`` tells clients of the methods and messages, and answers are compressed by
    ``compression``.
    """

    bind: Annotated[str, Field(min_length=1)] = "127.0.0.1:50051"
    tls: TlsSettings | None = None
    tokens: _FilePath | None = None
    open_health: bool = False
    reflection: bool = True
    compression: Compression = "none"
    metrics_interval_secs: Annotated[float, Field(gt=0, le=3600)] = 1.0
    session_idle_secs: _Seconds | None = 3600.0
    unread_secs: _Seconds = 60.0
    drain_secs: Annotated[float, Field(ge=0, le=3600)] = 10.0
    spare_hosts: Annotated[int, Field(ge=0, le=1000)] = 2
    prewarm: Annotated[tuple[PrewarmSettings, ...], Field(strict=False)] = ()
    files: Annotated[tuple[str, ...], Field(strict=False)] = ()
    connections: ConnectionSettings = ConnectionSettings()


def service_faults(settings: ServiceSettings) -> Iterator[Fault]:
    """Files and folders that are not there."""
    for index, folder in enumerate(settings.files):
        path = path_of(("service", "files", index))
        if not Path(folder).is_absolute():
            yield Fault(path, f"must be a folder's absolute path, got {folder}", found=folder)
        elif not Path(folder).is_dir():
            yield Fault(path, f"must be a folder that there is, got {folder}", found=folder)
    named = {"tokens": settings.tokens}
    if settings.tls is not None:
        named |= {f"tls.{key}": path for key, path in settings.tls.model_dump().items()}
    for key, file in named.items():
        if file is not None and not Path(file).is_file():
            yield Fault(
                f"service.{key}", f"must be a file, got {Path(file).absolute()}", found=file
            )
