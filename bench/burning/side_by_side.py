"""The work in bare processes side by side, which know nothing of each other."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection

from bench.burning.work import burn

_SPAWN = multiprocessing.get_context("spawn")
EXIT_S = 10.0


class SideBySide:
    """Processes that wait for a number of items to do the work of."""

    def __init__(self, controls: Sequence[Connection]) -> None:
        self._controls = controls

    async def run(self, items: int) -> None:
        """Have each process do the work of all items, and wait until every one has."""
        for control in self._controls:
            control.send(items)
        for control in self._controls:
            control.recv()


@contextmanager
def side_by_side(processes: int) -> Iterator[SideBySide]:
    with ExitStack() as stack:
        yield SideBySide([stack.enter_context(_process()) for _ in range(processes)])


def serve(control: Connection) -> None:
    """Work in a process of its own, for as long as it lives."""
    while True:
        for _ in range(control.recv()):
            burn()
        control.send(None)


@contextmanager
def _process() -> Iterator[Connection]:
    """A process, which is idle at the end, and killed."""
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    with ours:
        try:
            yield ours
        finally:
            process.kill()
            process.join(EXIT_S)
            process.close()
