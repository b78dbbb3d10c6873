"""What these tests have in common: clients of services."""

from __future__ import annotations

import asyncio

import grpc


def pytest_collection_finish() -> None:
    """gRPC's poller lives as long as the process: have it from the start."""

    async def use_once() -> None:
        grpc.aio.init_grpc_aio()
        await grpc.aio.insecure_channel("unix:nowhere").close()

    asyncio.run(use_once())
