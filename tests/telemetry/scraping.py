"""As much of an HTTP client as metrics need."""

from __future__ import annotations

import asyncio
import contextlib
from typing import NamedTuple

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


class Answer(NamedTuple):
    status: int
    content_type: str
    text: str


async def ask(address: str, request: bytes) -> bytes:
    """Everything that comes back for some bytes."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    try:
        async with asyncio.timeout(20):
            writer.write(request)
            return await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def get(
    address: str, path: str = "/metrics", accept: str = "", method: str = "GET"
) -> Answer:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *([f"Accept: {accept}"] if accept else [])]
    answer = await ask(address, "\r\n".join([*lines, "", ""]).encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *headers = head.decode("latin-1").split("\r\n")
    named = dict(line.split(": ", 1) for line in headers)
    return Answer(int(status.split()[1]), named["Content-Type"], body.decode())
