"""``penstock serve``: the service in this process, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import logging

from penstock.cli.surroundings import Surroundings, add_surroundings, surroundings
from penstock.executors.multiprocess import cgroup
from penstock.executors.multiprocess.heir import inheriting
from penstock.executors.multiprocess.launcher import LAUNCHER
from penstock.executors.multiprocess.leftovers import find_leftovers, sweep
from penstock.executors.multiprocess.limits import memory_limiter
from penstock.service import serve

_log = logging.getLogger(__name__)
SWEEP_S = 5.0
_LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--bind",
        metavar="HOST:PORT|unix:PATH",
        help="where to listen (default: 127.0.0.1:50051, or what the configuration says); "
        "port 0 takes a free one",
    )
    add_surroundings(parser)


def run(arguments: argparse.Namespace) -> int:
    cgroup.delegate()  # what is started from here on is in the group's leaf, too
    LAUNCHER.warm_up()  # while there is no thread yet: gRPC has some
    around = surroundings(arguments)
    logging.basicConfig(level=logging.INFO, format=_LOG_FORMAT)
    _sweep()
    asyncio.run(_serve(around, arguments.bind))
    return 0


def _sweep() -> None:
    """Remove what services that were killed have left: this one may need the room."""
    found = find_leftovers()
    if found:
        left = sweep(found, SWEEP_S)
        _log.warning("dead programs had left %s%s", found, f"; still there: {left}" if left else "")


async def _serve(around: Surroundings, bind: str | None) -> None:
    with inheriting():
        await serve(around.settings, bind, around.catalogue, _announce)


def _announce(line: str) -> None:
    print(line, flush=True)
    _log.info("what limits the memory of nodes here: %s", memory_limiter())
