"""Clients of real-time streams, in a process of their own, beside whatever else is measured."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

from bench.load.connection import Connection
from bench.load.generator import Load

_SPAWN = multiprocessing.get_context("spawn")
_START_S, _EXIT_S = 120.0, 10.0


@contextmanager
def clients(address: str, streams: int) -> Iterator[Pipe]:
    """Those of so many native sessions, which are open; they are gone afterwards.

    Told a number, they send as many chunks on each stream, and then tell the CPU time that took
    them, in us. Raises ``TimeoutError``.
    """
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_talk, args=(address, streams, theirs), daemon=True)
    with ours:
        process.start()
        theirs.close()
        try:
            if not ours.poll(_START_S):
                raise TimeoutError(f"{streams} streams are not ready after {_START_S:g} s")
            ours.recv()
            yield ours
        finally:
            process.kill()
            process.join(_EXIT_S)


def _talk(address: str, streams: int, told: Pipe) -> None:
    """Their whole life."""
    host, _, port = address.rpartition(":")
    with closing(Connection(host, int(port))) as connection:
        load = Load(connection, "native", streams)
        told.send(None)
        chunks = told.recv()
        before = used_us("self")
        load.late_s(chunks)
        told.send(used_us("self") - before)
        told.poll(None)  # the sessions are there until their time has been read


def used_us(pid: int | str) -> float:
    """The CPU time of all threads of a process; nothing where it has ended."""
    times = [_first(path) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(times) / 1e3


def _first(schedstat: Path) -> int:
    try:
        return int(schedstat.read_text().split()[0])
    except (FileNotFoundError, ProcessLookupError):
        return 0
