"""A client in a process of its own, which is killed in the middle of its session.

``python -m bench.storm.clients ADDRESS SEED NUMBER`` is that process: it carries an errand out,
until its strike falls on itself.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from time import perf_counter

from bench.storm.errands import Errand, errand
from bench.storm.talks import HUNG_S, Course, carried_out
from penstock.client import Client
from penstock.executors.multiprocess.interpreter import environment


async def killed(todo: Errand, address: str, seed: int) -> Course:
    """Have another process carry the errand out, and wait until it has been killed."""
    assert todo.strike is not None
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__, address, str(seed), str(todo.number)),
        env=environment(),
    )
    course = Course()
    try:
        async with asyncio.timeout(HUNG_S):
            code = await process.wait()
    except TimeoutError:
        course.hung = True
        process.kill()
        code = await process.wait()
    course.ended_at = perf_counter()
    if code == -signal.SIGKILL and not course.hung:
        todo.strike.struck_at = course.ended_at
    return course


async def main(address: str, seed: str, number: str) -> None:
    """Carry one errand out, or die."""
    todo = errand(int(seed), int(number), kills=1.0)
    assert todo.strike is not None
    todo.strike.hang_up = lambda: os.kill(os.getpid(), signal.SIGKILL)
    async with Client(address) as client:
        await carried_out(todo, client)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
