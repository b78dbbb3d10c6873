"""Fixtures that fail a test which leaves something behind.

In your ``conftest.py``::

    from penstock.testing.pytest_plugin import close_zygote, isolated_ipc, no_leaks  # noqa: F401

and ask for ``no_leaks`` in a test, or by ``pytestmark = pytest.mark.usefixtures("no_leaks")``.
A test may name what it must leave: ``@pytest.mark.leaves("threads")``.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest

from penstock.executors.multiprocess.launcher import LAUNCHER
from penstock.testing.leaks import LeakCheck, Leaks

MARKER = "leaves(*kinds): the test leaves these behind: " + ", ".join(
    kind.name for kind in fields(Leaks)
)


@pytest.fixture
def no_leaks(request: pytest.FixtureRequest) -> Iterator[LeakCheck]:
    """Fail where a test leaves a process, shared memory, a socket, a descriptor or a thread."""
    check = LeakCheck()
    yield check
    marker = request.node.get_closest_marker("leaves")
    allowed: dict[str, tuple[str, ...]] = dict.fromkeys(marker.args, ()) if marker else {}
    leaks = replace(check.leaks(), **allowed)
    if leaks:
        pytest.fail(f"left behind: {leaks}", pytrace=False)


@pytest.fixture
async def no_leaked_tasks(no_leaks: LeakCheck) -> AsyncIterator[None]:
    """Fail where an asynchronous test leaves a task running on its event loop."""
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    if left:
        names = ", ".join(
            sorted(f"{task.get_name()} ({_name_of(task.get_coro())})" for task in left)
        )
        pytest.fail(f"left behind: tasks: {names}", pytrace=False)


def _name_of(work: object) -> str:
    return str(getattr(work, "__qualname__", work))


@pytest.fixture
def isolated_ipc(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a test a zygote and a temporary directory of its own; fail where a file stays there.

    What Penstock's processes share has no names (sealed memfds, socket pairs), so that sessions
    of two tests can't meet. What nodes make in the temporary directory can: here they, and all
    that the test starts, make it in this one, which is given.
    """
    LAUNCHER.close()  # the next one has this environment, and so have its node processes
    directory = Path(tempfile.mkdtemp(prefix="penstock-"))
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield directory
    LAUNCHER.close()
    left = sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))
    shutil.rmtree(directory)
    if left:
        pytest.fail(f"left behind: files: {', '.join(left)}", pytrace=False)


@pytest.fixture(scope="session")
def close_zygote() -> Iterator[None]:
    """At the end of all tests, end the process that sessions are forked from."""
    yield
    LAUNCHER.close()
