"""Where a node is: the stacks of its tasks and its thread, as text like a traceback's."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import os
import signal
import sys
import traceback
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any

from penstock.executors.vitals import STACKS_AT, STACKS_BYTES

STACKS_SIGNAL = signal.SIGRTMAX
"""What has a process write down its stacks."""
_MAX_AWAITED = 100
_WAITS_FOR = {"cr_frame": "cr_await", "gi_frame": "gi_yieldfrom", "ag_frame": "ag_await"}
_STEPS = ("anext_awaitable", "async_generator_asend", "async_generator_athrow")


def answer_with_stacks(fd: int) -> None:
    """Have ``STACKS_SIGNAL`` write this process's stacks into the page of vitals behind ``fd``.

    Those of its threads whatever they do, by ``faulthandler``; then those of its tasks, if its
    main thread still runs Python. For the main thread.
    """
    os.lseek(fd, STACKS_AT, os.SEEK_SET)

    def add_tasks(_number: int, _frame: FrameType | None) -> None:
        try:
            tasks = asyncio.all_tasks()
        except RuntimeError:
            return  # no event loop runs
        room = STACKS_AT + STACKS_BYTES - os.lseek(fd, 0, os.SEEK_CUR)
        os.write(fd, stacks_of(tasks).encode(errors="replace")[:room])

    signal.signal(STACKS_SIGNAL, add_tasks)
    faulthandler.register(STACKS_SIGNAL, file=fd, all_threads=True, chain=True)
    faulthandler.enable()  # a crash says on stderr where it was


def stacks_of(tasks: Iterable[asyncio.Task[Any]], thread: int | None = None) -> str:
    """Of tasks of this thread's event loop that wait, and of a thread by its ``ident``."""
    parts = [f"Task {task.get_name()}:\n{_text(_awaited(task.get_coro()))}" for task in tasks]
    if thread is not None and (frame := sys._current_frames().get(thread)) is not None:
        parts.append(f"Its thread:\n{''.join(traceback.format_stack(frame))}")
    return "\n".join(parts)


def _text(frames: Iterable[FrameType]) -> str:
    steps = ((frame, frame.f_lineno) for frame in frames)
    return "".join(traceback.StackSummary.extract(steps).format())


def _awaited(awaitable: Any) -> Iterator[FrameType]:
    """The frames from a coroutine inwards, to where it waits."""
    for _ in range(_MAX_AWAITED):
        found = _suspended(awaitable)
        if found is None:
            return
        frame, awaitable = found
        yield frame


def _suspended(awaitable: Any) -> tuple[FrameType, Any] | None:
    """The frame of a coroutine or generator, and what it waits for."""
    for it in _with_stepped(awaitable):
        for frame_name, waits_for in _WAITS_FOR.items():
            frame = getattr(it, frame_name, None)
            if frame is not None:
                return frame, getattr(it, waits_for)
    return None


def _with_stepped(awaitable: Any) -> Iterator[Any]:
    """What steps an async generator doesn't say which one: the garbage collector knows."""
    yield awaitable
    if type(awaitable).__name__ in _STEPS:
        for inner in gc.get_referents(awaitable):
            yield from _with_stepped(inner)
