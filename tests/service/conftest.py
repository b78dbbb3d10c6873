"""A service on this event loop, and a bare client of it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from wire_client import WireClient, calls_ended, use_grpc_once

from penstock.manifest import Settings
from penstock.nodes import Catalogue
from penstock.service import running


@pytest.fixture
def settings() -> Settings:
    """What the service is configured with; a test may override it."""
    return Settings()


def pytest_collection_finish() -> None:
    """gRPC's poller and its descriptors live as long as the process: have them from the start."""
    asyncio.run(use_grpc_once())


@pytest.fixture
def catalogue() -> Catalogue:
    """The nodes that the service has; a test may override it."""
    return Catalogue.installed().extended("penstock.testing.faults")


@pytest.fixture
async def service(settings: Settings, catalogue: Catalogue) -> AsyncIterator[str]:
    """The address of a service on this event loop."""
    async with running(settings, "127.0.0.1:0", catalogue) as address:
        yield address
    await calls_ended()


@pytest.fixture
async def wire(service: str) -> AsyncIterator[WireClient]:
    """A client that knows the protocol's messages and nothing else."""
    async with WireClient(service) as client:
        yield client
