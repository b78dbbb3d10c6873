"""A session in which nothing happens costs nothing: its processes sleep until something does."""

import asyncio
import os
from pathlib import Path

from pipelines import chain, options

from penstock.data import Text
from penstock.executors.multiprocess.launcher import LAUNCHER
from penstock.session import Session

PROCESSES = 5
OBSERVED_S = 1.0
OBSERVATIONS = 4
OWN_WAKES = 3
"""The observer's timer wakes its own process, whose event loop then looks around."""


def wakes(pid):
    """How often the threads of a process have gone to sleep of their own accord so far.

    Of the observer's own process only this one counts: the others are no session's.
    """
    statuses = Path(f"/proc/{pid}/task").glob(f"{pid if pid == os.getpid() else '*'}/status")
    lines = [line for status in statuses for line in status.read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary"))


def cpu_ns(pid):
    """CPU time of all threads of a process."""
    schedstats = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(schedstat.read_text().split()[0]) for schedstat in schedstats)


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


async def observed(pids):
    """What has happened in each process after a while: wakes, and ns of CPU time."""
    before = {pid: (wakes(pid), cpu_ns(pid)) for pid in pids}
    await asyncio.sleep(OBSERVED_S)  # nothing is waited for: this is the time observed
    return {pid: (wakes(pid) - before[pid][0], cpu_ns(pid) - before[pid][1]) for pid in pids}


async def test_ten_idle_nodes_sleep():
    """Nodes in processes and native ones in turn, after a message has been through all of them."""
    own = os.getpid()
    manifest = chain(*["EchoNode", "PassThrough"] * PROCESSES)
    async with Session(manifest, options()) as session:
        nodes = {node.pid for node in (await session.metrics()).nodes.values()} - {own}
        others = nodes | {parent_of(pid) for pid in nodes} | {LAUNCHER.pid}
        assert len(others) == PROCESSES + 2
        outputs = session.outputs()
        await session.send("n0", Text("wakes everybody up"))
        await anext(outputs)
        for _ in range(OBSERVATIONS):  # what the message left to do may come a moment later
            found = await observed({own, *others})
            own_wakes, _ = found.pop(own)
            if own_wakes <= OWN_WAKES and set(found.values()) == {(0, 0)}:
                break
        else:
            raise AssertionError(f"own wakes: {own_wakes}; wakes and ns by process: {found}")
        await outputs.aclose()
