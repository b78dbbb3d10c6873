"""A hop in a framework: orders and arrivals by the same link, its processes below a keeper."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.frameworks.keeper import kept, last_words
from bench.hops.link import RigLink, new_name
from bench.hops.payload import Arrival, Order
from bench.measurement import PeerError
from bench.transports.packages import require

LINK = "{link}"
_ROOT = str(Path(__file__).parent.parent.parent)


@dataclass(frozen=True, slots=True)
class Framework:
    """What to run, ``LINK`` standing for the link's name, and the packages that it needs.

    ``spins``: its ends keep their cores busy while they wait, and are stopped while it is not
    their turn.
    """

    command: tuple[str, ...]
    packages: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    spins: bool = False


DORA = Framework(
    ("bench.frameworks.dora_service", LINK), ("dora", "dora_cli", "pyarrow"), {"RUST_LOG": "error"}
)
_ALONE = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
RAY_GRAPH = Framework(("bench.frameworks.ray_driver", LINK, "graph"), ("ray",), _ALONE, spins=True)
RAY_ACTORS = Framework(("bench.frameworks.ray_driver", LINK, "actors"), ("ray",), _ALONE)


class FrameworkRig:
    """Orders go to the framework, arrivals come from it."""

    def __init__(self, link: RigLink, pids: tuple[int, int], log: Path, *, spins: bool) -> None:
        self.pids = pids
        self._link = link
        self._log = log
        self._spins = spins

    async def run(self, order: Order) -> Arrival:
        self.let(signal.SIGCONT)
        try:
            self._link.send(order)
            return self._link.arrival()
        except PeerError as exc:
            raise PeerError(f"{exc}: {last_words(self._log)}") from exc
        finally:
            self.let(signal.SIGSTOP)

    def let(self, what: signal.Signals) -> None:
        """Stop its ends, or have them continue, where they would spin."""
        if self._spins:
            for pid in self.pids:
                with suppress(ProcessLookupError):  # the order will find it gone
                    os.kill(pid, what)


@contextmanager
def framework_rig(framework: Framework) -> Iterator[FrameworkRig]:
    """Raises ``PeerError`` where the framework isn't installed or doesn't get ready."""
    for package in framework.packages:
        require(package)
    name = new_name()
    words = [name if word == LINK else word for word in framework.command]
    command = (sys.executable, "-m", *words)
    environment = {**framework.environment, "PYTHONPATH": _ROOT}
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        RigLink(name) as link,
        kept(command, Path(folder), environment) as log,
    ):
        try:
            pids = link.wait_until_ready()
        except PeerError as exc:
            raise PeerError(f"{exc}: {last_words(log)}") from exc
        rig = FrameworkRig(link, pids, log, spins=framework.spins)
        rig.let(signal.SIGSTOP)
        yield rig
