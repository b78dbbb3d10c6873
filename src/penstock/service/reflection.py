"""Tells clients of the methods and messages that are served, as the standard has it."""

from __future__ import annotations

from collections.abc import Iterable

import grpc
from grpc_reflection.v1alpha import reflection

from penstock.wire.v1.pool import POOL


def enable_reflection(server: grpc.aio.Server, services: Iterable[str]) -> None:
    """Serve ``grpc.reflection.v1alpha`` for these services; before the server starts."""
    reflection.enable_server_reflection(tuple(services), server, pool=POOL)
