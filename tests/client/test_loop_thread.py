"""The event loop of clients that have none: nothing is lost there, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from penstock.client.loop_thread import LoopThread
from penstock.errors import SessionClosedError, SessionError


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    opened = LoopThread("test")
    yield opened
    opened.close()


def test_in_a_process_that_was_forked_it_says_so(thread: LoopThread) -> None:
    """Its thread is not there: whoever waited for it waited for ever."""
    pid = os.fork()
    if not pid:
        with contextlib.suppress(SessionClosedError):
            thread.run(made())
            os._exit(1)
        thread.close()
        os._exit(0 if not thread.is_alive else 2)
    assert os.waitpid(pid, 0)[1] == 0
    assert thread.run(made()).empty()


async def made() -> asyncio.Queue[int]:
    return asyncio.Queue()


def test_what_is_taken_as_the_time_ends_is_not_lost(thread: LoopThread) -> None:
    queue = thread.run(made())
    expected = list(range(500))

    def feed() -> None:
        for number in expected:
            thread.run(queue.put(number))

    feeding = threading.Thread(target=feed)
    feeding.start()
    taken: list[int] = []
    while len(taken) < len(expected):
        try:
            taken.append(thread.run(queue.get(), timeout_s=0.0002))
        except TimeoutError:
            continue
    feeding.join()
    assert taken == expected


def test_a_time_that_is_over_for_the_work_itself_is_its_own(thread: LoopThread) -> None:
    async def impatient() -> None:
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match=r"^of its own$"):
        thread.run(impatient(), timeout_s=60)


def test_who_runs_something_while_it_is_closed_is_told_so() -> None:
    for _ in range(50):
        thread = LoopThread("test")
        told: list[Exception] = []
        begun = threading.Event()

        def run_on(thread: LoopThread, told: list[Exception], begun: threading.Event) -> None:
            try:
                while True:
                    thread.run(asyncio.sleep(0))
                    begun.set()
            except SessionClosedError as exc:
                told.append(exc)

        running = threading.Thread(target=run_on, args=(thread, told, begun))
        running.start()
        begun.wait()
        thread.close()
        running.join()
        assert len(told) == 1


class RunsAsItDies:
    def __init__(self, thread: LoopThread, ran: list[int]) -> None:
        self.thread, self.ran, self.ring = thread, ran, self

    def __del__(self) -> None:
        self.ran.append(self.thread.run(asyncio.sleep(0, 1)))


def test_what_is_collected_as_something_begins_may_run_something(
    thread: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The collector may run anywhere: there must be no lock that it waits for."""
    begin = asyncio.BaseEventLoop.call_soon_threadsafe

    def collect_and_begin(*arguments: Any, **more: Any) -> asyncio.Handle:
        gc.collect()
        return begin(*arguments, **more)

    monkeypatch.setattr(asyncio.BaseEventLoop, "call_soon_threadsafe", collect_and_begin)
    ran: list[int] = []
    RunsAsItDies(thread, ran)
    assert thread.run(asyncio.sleep(0, 2)) == 2
    assert ran == [1]


def test_it_does_not_wait_for_itself(thread: LoopThread) -> None:
    async def call_back() -> None:
        thread.run(asyncio.sleep(0))

    with pytest.raises(SessionError, match="wait for itself"):
        thread.run(call_back())
