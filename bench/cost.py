"""What a chunk of a real-time stream costs, by process; of two versions at once, how they compare.

On a shared machine a figure differs by a fifth from one minute to the next. Services that work at
the same time on the same cores meet the same disturbances, so that their ratio shows a few percent.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import TypeAlias

from bench.load.clients import clients, used_us
from bench.load.generator import CHUNK_S
from bench.load.service import roomy
from bench.rpc.servers import server_process
from penstock.testing import ProcessTree

_ROOT = Path(__file__).parent.parent
_PARTS = ("front door", "hosts", "clients")

Costs: TypeAlias = dict[str, float]
"""By part, in us."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Say how much CPU a 20 ms chunk of speech takes on its way through a native session, in us.

    With --beside, another checkout serves as many streams at the same time; its own .venv runs it.
    What is said of several rounds is the median.
    """
    given = _parser().parse_args(arguments)
    checkouts = [_ROOT, *(path.resolve() for path in given.beside)]
    rounds = [_round(checkouts, given.streams, given.seconds) for _ in range(given.rounds)]
    print(f"{given.streams} streams each".ljust(32) + "".join(f"{part:>12}" for part in _PARTS))
    for number, checkout in enumerate(checkouts):
        row = [statistics.median(one[number][part] for one in rounds) for part in _PARTS]
        print(_cut(checkout) + "".join(f"{cost:12.1f}" for cost in row))
    for number, checkout in enumerate(checkouts[1:], start=1):
        ratios = [statistics.median(_ratio(one, number, part) for one in rounds) for part in _PARTS]
        print(_cut(f"here / {checkout.name}") + "".join(f"{ratio:12.2f}" for ratio in ratios))
    return 0


def _ratio(costs: Sequence[Costs], number: int, part: str) -> float:
    return costs[0][part] / costs[number][part]


def _cut(name: object) -> str:
    return str(name)[-30:].ljust(32)


def _round(checkouts: Sequence[Path], streams: int, seconds: float) -> list[Costs]:
    """The cost of a chunk in each, by part, with all of them at work at once."""
    chunks = round(seconds / CHUNK_S)
    with ExitStack() as stack:
        sides = [stack.enter_context(_side(one, streams)) for one in checkouts]
        before = [side.used_us() for side in sides]
        for side in sides:
            side.clients.send(chunks)
        clients = [side.clients.recv() for side in sides]
        after = [side.used_us() for side in sides]
    costs = []
    for then, now, its_clients in zip(before, after, clients, strict=True):
        used = {part: now[part] - then[part] for part in now} | {"clients": its_clients}
        costs.append({part: used[part] / (streams * chunks) for part in _PARTS})
    return costs


@dataclass(frozen=True, slots=True)
class _Side:
    """A service, and its clients by their pipe, which send when they are told how much."""

    tree: ProcessTree
    clients: Pipe

    def used_us(self) -> Costs:
        """The CPU time of its processes so far."""
        used: Costs = defaultdict(float)
        for process in self.tree.look():
            used[self._part(process.pid, process.name)] += used_us(process.pid)
        return used

    def _part(self, pid: int, name: str) -> str:
        if pid == self.tree.root.pid:
            return "front door"
        return "hosts" if name == "penstock-host" else "others"


@contextmanager
def _side(checkout: Path, streams: int) -> Iterator[_Side]:
    """A service with so many streams open."""
    python = None if checkout == _ROOT else checkout / ".venv/bin/python"
    with (
        roomy() as words,
        server_process(*words, python=python) as (process, address),
        clients(address, streams) as its_clients,
    ):
        yield _Side(ProcessTree(process.pid), its_clients)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.cost", description=main.__doc__)
    parser.add_argument("--streams", type=int, default=60, help="of each service (default: 60)")
    parser.add_argument("--seconds", type=float, default=8, help="for each round (default: 8)")
    parser.add_argument("--rounds", type=int, default=3, help="how often (default: 3)")
    parser.add_argument(
        "--beside", type=Path, action="append", default=[], help="another checkout, with a .venv"
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
