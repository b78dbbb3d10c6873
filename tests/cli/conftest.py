"""What these tests have in common: services as programs (``served``), and clients of them."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import grpc

sys.path.insert(0, str(Path(__file__).parent))


def pytest_collection_finish() -> None:
    """gRPC's poller lives as long as the process: have it from the start."""

    async def use_once() -> None:
        grpc.aio.init_grpc_aio()
        await grpc.aio.insecure_channel("unix:nowhere").close()

    asyncio.run(use_once())
