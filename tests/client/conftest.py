"""A service on this event loop, and the client of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from penstock.client import Client
from penstock.manifest import Settings
from penstock.nodes import Catalogue
from penstock.service import running

GRPC_TASKS = ("rpc_task",)


def pytest_collection_finish() -> None:
    """gRPC's poller and its descriptors live as long as the process: have them from the start."""

    async def use_once() -> None:
        grpc.aio.init_grpc_aio()
        async with (
            running(Settings(), "127.0.0.1:0", Catalogue.installed()) as address,
            Client(address) as client,
        ):
            await client.version()

    asyncio.run(use_once())


async def calls_ended() -> None:
    """gRPC's own tasks end a few turns of the loop after their server."""
    left = [task for task in asyncio.all_tasks() if task.get_name() in GRPC_TASKS]
    if left:
        await asyncio.wait(left)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """Connected to a service that has the fault nodes too."""
    catalogue = Catalogue.installed().extended("penstock.testing.faults")
    async with (
        running(Settings(), "127.0.0.1:0", catalogue) as address,
        Client(address) as client,
    ):
        yield client
    await calls_ended()
