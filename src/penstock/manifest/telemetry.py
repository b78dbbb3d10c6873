"""What the operator wants to see of a service: ``[telemetry]`` of ``penstock.toml``."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from penstock.manifest.faults import shown
from penstock.manifest.schema import Document

LogFormat = Literal["console", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]


def _collector(text: str) -> str:
    """What is shown of it has no password."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        found = shown(text.rpartition("@")[2])
        raise ValueError(f"must be http://HOST:PORT or https://HOST:PORT, got {found}")
    return text


class TraceSettings(Document):
    """``[telemetry.traces]``: what isn't written here the ``OTEL_…`` variables say.

    ``endpoint`` is where OTLP goes over gRPC; of calls that come without a trace of their own,
    ``sample_ratio`` are traced.
    """

    enabled: bool = False
    endpoint: Annotated[str, AfterValidator(_collector)] | None = None
    sample_ratio: Annotated[float, Field(ge=0, le=1)] | None = None


class TelemetrySettings(Document):
    """``[telemetry]``: metrics are served at ``metrics_bind``, ``HOST:PORT`` (None: nowhere).

    A host beyond loopback needs ``metrics_remote``: whoever reaches it may read them. What the
    nodes of a session write goes to the log, ``node_log_bytes_per_sec`` of it.
    """

    metrics_bind: Annotated[str, Field(min_length=1)] | None = None
    metrics_remote: bool = False
    log_format: LogFormat = "console"
    log_level: LogLevel = "info"
    node_log_bytes_per_sec: Annotated[int, Field(ge=1024, lt=1 << 63)] = 64 << 10
    traces: TraceSettings = TraceSettings()
