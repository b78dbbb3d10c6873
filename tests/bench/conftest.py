"""``multiprocessing`` has a process of its own, which stays once it is needed."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing import resource_tracker

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Before the test's fixtures look at what is there already."""
    resource_tracker.ensure_running()


@pytest.fixture(autouse=True, scope="module")
def no_tracker_afterwards() -> Iterator[None]:
    """Tests elsewhere count processes."""
    yield
    resource_tracker._resource_tracker._stop()  # there is no public way
