"""``penstock doctor``: what this machine offers, and what dead services have left on it."""

from __future__ import annotations

import argparse
from pathlib import Path

from penstock.cli.status import FAILED
from penstock.cli.surroundings import add_config
from penstock.cli.table import columns
from penstock.executors.multiprocess.faculties import Faculty, faculties
from penstock.executors.multiprocess.launcher import LAUNCHER
from penstock.executors.multiprocess.leftovers import Leftovers, find_leftovers, sweep
from penstock.manifest import Capacity, load_settings
from penstock.service.address import clear_socket_path, is_dead_socket, parse_address

SWEEP_S = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sweep", action="store_true", help="remove what is left; what lives is not touched"
    )
    parser.add_argument(
        "--bind",
        metavar="unix:PATH",
        help="look at this socket file too (default: what the configuration says)",
    )
    add_config(parser)


def run(arguments: argparse.Namespace) -> int:
    """1 where something is needed that isn't there, or something is left."""
    found = find_leftovers()  # first: what is tried below ends by itself
    bind = arguments.bind or load_settings(arguments.config).service.bind
    tried = [*faculties(), *_capacity()]
    LAUNCHER.close()
    print(columns(("what", "found"), [(one.name, one.found) for one in tried]))
    print()
    socket = _dead_socket(bind)
    if not found and socket is None:
        print("nothing is left behind by dead programs")
    clean = not found or _cleared(found, sweeping=arguments.sweep)
    clean = (socket is None or _socket_cleared(socket, sweeping=arguments.sweep)) and clean
    return 0 if clean and all(one.works or not one.needed for one in tried) else FAILED


def _capacity() -> list[Faculty]:
    here = Capacity.here()
    return [
        Faculty("memory", f"{here.memory_bytes >> 20} MiB"),
        Faculty("processes", f"at most {here.processes}"),
        Faculty("open files", f"at most {here.open_files} of one process"),
    ]


def _cleared(found: Leftovers, *, sweeping: bool) -> bool:
    """Whether nothing of it is there any more."""
    if not sweeping:
        print(f"left behind: {found}; --sweep removes it")
        return False
    left = sweep(found, SWEEP_S)
    print(f"can't be removed: {left}" if left else f"removed: {found}")
    return not left


def _dead_socket(bind: str) -> Path | None:
    """The socket file at the address, if its service is gone."""
    path = parse_address(bind).socket_path
    return path if path is not None and is_dead_socket(path) else None


def _socket_cleared(path: Path, *, sweeping: bool) -> bool:
    if sweeping:
        clear_socket_path(path)
        print(f"removed: socket {path}")
        return True
    print(f"left behind: socket {path}; --sweep removes it")
    return False
