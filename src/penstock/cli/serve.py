"""``penstock serve``: the service in this process, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from penstock.cli.binds import check_binds
from penstock.cli.early import EARLY
from penstock.cli.notify import Supervision
from penstock.cli.shown_config import Sources, config_lines
from penstock.cli.surroundings import Surroundings, add_surroundings, surroundings
from penstock.executors.multiprocess import cgroup
from penstock.executors.multiprocess.heir import inheriting
from penstock.executors.multiprocess.launcher import LAUNCHER
from penstock.executors.multiprocess.leftovers import find_leftovers, sweep
from penstock.executors.multiprocess.limits import memory_limiter
from penstock.manifest import Capacity, Settings, filled_in
from penstock.service import check, serve
from penstock.service.coalescing import CoalescingLoop
from penstock.service.fitting import fitted, lowered_in
from penstock.telemetry import Telemetry, check_telemetry, configure_logs

_log = logging.getLogger(__name__)
SWEEP_S = 5.0
_OPTIONS = (("service", "bind"), ("telemetry", "metrics_bind"))
"""What the command line can say instead of the configuration: the section and the key."""


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
    parser.add_argument(
        "--show-config",
        action="store_true",
        help="say what is configured, and where each value comes from, and serve nothing",
    )
    add_surroundings(parser)


def run(arguments: argparse.Namespace) -> int:
    if arguments.show_config:
        return _show(surroundings(arguments), arguments)
    supervision = Supervision()
    cgroup.delegate()  # what is started from here on is in the group's leaf, too
    LAUNCHER.warm_up()  # while there is no thread yet: gRPC has some
    around = surroundings(arguments)
    settings = _as_called(around.settings, arguments)
    configure_logs(settings.telemetry, sys.stderr)
    telemetry = Telemetry(settings.telemetry)
    check_binds(settings)
    _sweep()
    around = replace(around, settings=settings)
    if EARLY.came:
        LAUNCHER.close()
        return 0
    with asyncio.Runner(loop_factory=CoalescingLoop) as runner:
        runner.run(_serve(around, telemetry, supervision, insecure=arguments.insecure))
    return 0


def _as_called(settings: Settings, arguments: argparse.Namespace) -> Settings:
    """The settings, with what the command line says instead."""
    said: dict[str, Any] = {}
    for section, key in _OPTIONS:
        value = getattr(arguments, key)
        if value is not None:
            before = getattr(settings, section)
            said[section] = before.model_copy(update={key: value})
    return settings.model_copy(update=said)


def _show(around: Surroundings, arguments: argparse.Namespace) -> int:
    """Print what a service would go by; raises what keeps it from starting with that."""
    settings = _as_called(around.settings, arguments)
    capacity = Capacity.here()
    fitting = fitted(settings, capacity)
    with _warnings_shown():
        check(fitting, around.catalogue, insecure=arguments.insecure)
    check_telemetry(fitting.telemetry)
    check_binds(fitting)
    special = {
        f"{section}.{key}": "command line"
        for section, key in _OPTIONS
        if getattr(arguments, key) is not None
    }
    for lowered in lowered_in(settings, fitting, capacity):
        special[lowered.name] = "default, lowered to what this machine has"
    for line in config_lines(filled_in(fitting), Sources(special, str(arguments.config))):
        print(line)
    return 0


@contextlib.contextmanager
def _warnings_shown() -> Iterator[None]:
    """Say on stderr what the log of a service would warn of."""
    shown, log = logging.StreamHandler(sys.stderr), logging.getLogger("penstock")
    shown.setLevel(logging.WARNING)
    shown.setFormatter(logging.Formatter("warning: %(message)s"))
    log.addHandler(shown)
    try:
        yield
    finally:
        log.removeHandler(shown)


def _sweep() -> None:
    """Remove what services that were killed have left: this one may need the room."""
    found = find_leftovers()
    if found:
        left = sweep(found, SWEEP_S)
        _log.warning("dead programs had left %s%s", found, f"; still there: {left}" if left else "")


async def _serve(
    around: Surroundings, telemetry: Telemetry, supervision: Supervision, *, insecure: bool
) -> None:
    def announce(line: str) -> None:
        if EARLY.came:  # before the service heeded it
            signal.raise_signal(signal.SIGTERM)
            return
        print(line, flush=True)
        supervision.ready()
        _log.info("what limits the memory of nodes here: %s", memory_limiter())

    with inheriting():
        await serve(around.settings, None, around.catalogue, announce, telemetry, insecure=insecure)
