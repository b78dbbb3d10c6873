"""A service on this event loop and the client of it, or in a process of its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "service"))
sys.path.insert(0, str(Path(__file__).parents[1] / "cli"))

from attaching import NODES, Hold
from served import serving
from wire_client import calls_ended, use_grpc_once

from penstock.client import Client
from penstock.manifest import Settings
from penstock.nodes import Catalogue
from penstock.service import running


def pytest_collection_finish() -> None:
    """gRPC's poller and its descriptors live as long as the process: have them from the start."""
    asyncio.run(use_grpc_once())


@pytest.fixture
def catalogue() -> Catalogue:
    """The nodes that the service has; a test may override it."""
    return Catalogue.installed().extended("penstock.testing.faults")


@pytest.fixture
async def client(catalogue: Catalogue) -> AsyncIterator[Client]:
    async with (
        running(Settings(), "127.0.0.1:0", catalogue) as address,
        Client(address) as client,
    ):
        yield client
    await calls_ended()


@pytest.fixture
def address() -> Iterator[str]:
    """Of a service in another process, for clients that have no event loop."""
    nodes = [word for name in NODES for word in ("--nodes", name)]
    with serving("--bind", "127.0.0.1:0", *nodes) as (_, found):
        yield found


@pytest.fixture
def hold(tmp_path: Path) -> Iterator[Hold]:
    """A node that holds its input until it is let go."""
    made = Hold(tmp_path)
    yield made
    made.close()
