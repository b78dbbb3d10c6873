"""What bare servers have in common with Penstock's service: how they say where they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import grpc

Handlers: TypeAlias = "dict[str, grpc.RpcMethodHandler[Any, Any]]"
"""A service's methods, by their names."""


async def serve(services: Mapping[str, Handlers], *options: tuple[str, Any]) -> None:
    """Serve until killed; says where on stdout, as Penstock's service does."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0), *options])
    for name, handlers in services.items():
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"listening on 127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()
