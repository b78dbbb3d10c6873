"""Makes the helpers beside the tests importable, and those of the service's tests."""

import asyncio
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "service")]

from wire_client import use_grpc_once  # noqa: E402  # found by the line above


def pytest_collection_finish() -> None:
    """gRPC's poller and its descriptors live as long as the process: have them from the start."""
    asyncio.run(use_grpc_once())
