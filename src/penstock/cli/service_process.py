"""A service in a process of its own, as the demo's other half."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from penstock.errors import ServiceError
from penstock.executors.multiprocess import kernel
from penstock.executors.multiprocess.interpreter import environment, module_arguments

_ANNOUNCES = "listening on "
START_S = 30.0
STOP_S = 10.0


@contextlib.asynccontextmanager
async def service_process(log: Path) -> AsyncIterator[str]:
    """Run ``penstock serve`` on a free port; gives its address, and ends it at the end.

    Its stderr goes to ``log``. The kernel ends it where this process is killed. Raises
    ``ServiceError`` where it doesn't come up.
    """
    arguments = [*module_arguments("penstock"), "serve", "--bind", "127.0.0.1:0"]
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            env=environment(),
            start_new_session=True,  # Ctrl-C is for this process, which then stops that one
            preexec_fn=functools.partial(kernel.die_with, os.getpid()),
        )
    try:
        yield await _announced(process, log)
    finally:
        await asyncio.shield(_stop(process))


async def _announced(process: asyncio.subprocess.Process, log: Path) -> str:
    assert process.stdout is not None  # noqa: S101  # it is a pipe
    try:
        async with asyncio.timeout(START_S):
            line = (await process.stdout.readline()).decode().strip()
    except TimeoutError:
        line = ""
    if not line.startswith(_ANNOUNCES):
        raise ServiceError(f"the service did not start; see {log}", error_type="UNAVAILABLE")
    return line.removeprefix(_ANNOUNCES)


async def _stop(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
