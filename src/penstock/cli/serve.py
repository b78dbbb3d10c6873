"""``penstock serve``: the service in this process, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys

from penstock.cli.surroundings import Surroundings, add_surroundings, surroundings
from penstock.executors.multiprocess import cgroup
from penstock.executors.multiprocess.heir import inheriting
from penstock.executors.multiprocess.launcher import LAUNCHER
from penstock.executors.multiprocess.leftovers import find_leftovers, sweep
from penstock.executors.multiprocess.limits import memory_limiter
from penstock.manifest import Settings, TelemetrySettings
from penstock.service import serve
from penstock.telemetry import Telemetry, configure_logs

_log = logging.getLogger(__name__)
SWEEP_S = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--bind",
        metavar="HOST:PORT|unix:PATH",
        help="where to listen (default: 127.0.0.1:50051, or what the configuration says); "
        "port 0 takes a free one",
    )
    parser.add_argument(
        "--metrics-bind",
        metavar="HOST:PORT",
        help="where Prometheus finds the metrics (default: nowhere, or what the configuration "
        "says); port 0 takes a free one",
    )
    parser.add_argument(
        "--insecure",
        action="store_true",
        help="listen where other machines can reach it without encryption",
    )
    add_surroundings(parser)


def run(arguments: argparse.Namespace) -> int:
    cgroup.delegate()  # what is started from here on is in the group's leaf, too
    LAUNCHER.warm_up()  # while there is no thread yet: gRPC has some
    around = surroundings(arguments)
    configure_logs(around.settings.telemetry, sys.stderr)
    telemetry = Telemetry(_telemetry_settings(around.settings, arguments))
    _sweep()
    asyncio.run(_serve(around, arguments, telemetry))
    return 0


def _telemetry_settings(settings: Settings, arguments: argparse.Namespace) -> TelemetrySettings:
    if arguments.metrics_bind is None:
        return settings.telemetry
    return settings.telemetry.model_copy(update={"metrics_bind": arguments.metrics_bind})


def _sweep() -> None:
    """Remove what services that were killed have left: this one may need the room."""
    found = find_leftovers()
    if found:
        left = sweep(found, SWEEP_S)
        _log.warning("dead programs had left %s%s", found, f"; still there: {left}" if left else "")


async def _serve(around: Surroundings, arguments: argparse.Namespace, telemetry: Telemetry) -> None:
    with inheriting():
        await serve(
            around.settings,
            arguments.bind,
            around.catalogue,
            _announce,
            telemetry,
            insecure=arguments.insecure,
        )


def _announce(line: str) -> None:
    print(line, flush=True)
    _log.info("what limits the memory of nodes here: %s", memory_limiter())
