"""A process that attacks, so that it has a loop of its own; killed at the end."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.abuse.attacks import ATTACKS, Victim

_TOKEN = "PENSTOCK_ABUSE_TOKEN"  # noqa: S105  # where it is
_ROOT = Path(__file__).parents[2]


@contextmanager
def attacking(name: str, address: str, token: str, count: int) -> Iterator[None]:
    """Once it is at it, and to the end of the block."""
    command = [sys.executable, "-m", "bench.abuse.attacker", name, address, str(count)]
    around = {**os.environ, _TOKEN: token}  # not for everybody to see in a list of processes
    with subprocess.Popen(command, cwd=_ROOT, env=around, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()
            yield
        finally:
            process.kill()


def _main(name: str, address: str, count: str) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    attack, _ = ATTACKS[name]

    victim = Victim(address, os.environ[_TOKEN], lambda: print("at it", flush=True))

    async def run() -> None:
        await attack(victim, int(count))

    asyncio.run(run())


if __name__ == "__main__":
    _main(*sys.argv[1:])
