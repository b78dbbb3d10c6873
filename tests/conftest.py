"""Every test is checked for what it leaves behind."""

from __future__ import annotations

import inspect
import os

import pytest
from hypothesis import HealthCheck, settings

from penstock.testing.pytest_plugin import MARKER, close_zygote, no_leaked_tasks, no_leaks

os.environ["PENSTOCK_POISON_SLOTS"] = "1"  # a view on a freed slot shows rubbish at once

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")  # how long an example takes says more of the machine than of it

__all__ = ["close_zygote", "no_leaked_tasks", "no_leaks"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function):
            is_async = inspect.iscoroutinefunction(item.function)
            names = ["close_zygote", "no_leaked_tasks" if is_async else "no_leaks"]
            item.fixturenames[:0] = [name for name in names if name not in item.fixturenames]
