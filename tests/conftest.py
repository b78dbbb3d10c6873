"""Every test is checked for what it leaves behind."""

from __future__ import annotations

import fcntl
import importlib
import inspect
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from penstock.testing.pytest_plugin import MARKER, close_zygote, no_leaked_tasks, no_leaks

os.environ["PENSTOCK_POISON_SLOTS"] = "1"  # a view on a freed slot shows rubbish at once

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")  # how long an example takes says more of the machine than of it


def _kept_channel() -> Any:
    """A channel that is never used, so that gRPC keeps one poller for all tests.

    It gives its own up with its last channel, and makes another when it wants, which would look as
    if a test had left that; with every fork it makes it anew, too, unless it is told not to.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRPC_ENABLE_FORK_SUPPORT", "0")  # which is read as gRPC is imported
        importlib.import_module("penstock.service")  # imports it as a service does
        return importlib.import_module("grpc").insecure_channel("localhost:1")


KEPT_CHANNEL = _kept_channel()

ALONE = "alone: no other process of pytest runs a test meanwhile"
TURNSTILE, ROOM = Path(__file__), Path(__file__).parent
"""They are locked. Whoever waits for the room holds the turnstile, so that nobody overtakes."""

__all__ = ["close_zygote", "no_leaked_tasks", "no_leaks"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)
    config.addinivalue_line("markers", ALONE)
    config.add_cleanup(KEPT_CHANNEL.close)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function):
            is_async = inspect.iscoroutinefunction(item.function)
            names = ["close_zygote", "no_leaked_tasks" if is_async else "no_leaks"]
            item.fixturenames[:0] = [name for name in names if name not in item.fixturenames]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Wait for those that must be alone, or for all others, before the test's time begins."""
    with in_room(fcntl.LOCK_SH if item.get_closest_marker("alone") is None else fcntl.LOCK_EX):
        return (yield)


@contextmanager
def in_room(kind: int) -> Iterator[None]:
    turnstile, room = (os.open(path, os.O_RDONLY) for path in (TURNSTILE, ROOM))
    try:
        fcntl.flock(turnstile, fcntl.LOCK_EX)
        fcntl.flock(room, kind)
        fcntl.flock(turnstile, fcntl.LOCK_UN)
        yield
    finally:
        for fd in (turnstile, room):
            fcntl.flock(fd, fcntl.LOCK_UN)  # a fork may have it as well
            os.close(fd)
