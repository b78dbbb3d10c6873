"""``multiprocessing`` has a process of its own, which is there for good once it is needed."""

from __future__ import annotations

from multiprocessing import resource_tracker

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Before the test's fixtures look at what is there already."""
    resource_tracker.ensure_running()
