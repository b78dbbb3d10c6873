"""``penstock``: finds the command, and turns what it raises into a message and a status."""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Protocol, cast

from penstock import __version__
from penstock.cli.early import EARLY
from penstock.cli.status import FAILED, INTERRUPTED, WRONG_INPUT, complain, status_of
from penstock.errors import PenstockError

COMMANDS = {
    "check": "say what is wrong with a manifest",
    "plan": "show where each node of a manifest would run, and why",
    "run": "run a manifest on files",
    "serve": "serve manifests over gRPC",
    "token": "make a token for a client of a service",
    "doctor": "say what this machine offers, and remove what dead services left",
    "demo": "hold a spoken dialogue through a service",
}
_ENDED_BY_SIGTERM = ("serve",)
"""Those for which it is no failure, from their first moment on: to be loaded takes a second."""
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What a write to stdout fails with; what else is written has a name, and a reason of its own."""


class Command(Protocol):
    """What a command's module has."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's arguments."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it and return the exit status."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 (it failed), 2 (what it was given is wrong), or 130.

    The last is Ctrl-C's. An output that can't be written is a failure.
    """
    try:
        return _called(sys.argv[1:] if argv is None else argv)
    except PenstockError as exc:
        complain(exc)
        return status_of(exc)
    except KeyboardInterrupt:
        return INTERRUPTED


def _called(words: Sequence[str]) -> int:
    name = next((word for word in words if not word.startswith("-")), None)
    with EARLY.noting() if name in _ENDED_BY_SIGTERM else contextlib.nullcontext():
        return _called_by(name, words)


def _called_by(name: str | None, words: Sequence[str]) -> int:
    command = _load(name) if name in COMMANDS else None
    arguments = _parser(name, command).parse_args(words)
    if command is None:  # parse_args has let a call without a command through
        _parser(None, None).print_help(sys.stderr)
        return WRONG_INPUT
    return _run(command, arguments)


def _run(command: Command, arguments: argparse.Namespace) -> int:
    try:
        status = command.run(arguments)
        if sys.stdout is not None:  # it may be closed from the start
            sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has enough
        _write_no_more()
        return FAILED
    except OSError as exc:
        if exc.errno not in _UNWRITABLE or exc.filename is not None:
            raise
        _write_no_more()
        print(f"error: stdout can't be written: {exc.strerror}", file=sys.stderr)
        return FAILED
    return status


def _write_no_more() -> None:
    """What is still buffered for stdout goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _load(name: str | None) -> Command:
    return cast("Command", importlib.import_module(f"penstock.cli.{name}"))


def _parser(name: str | None, command: Command | None) -> argparse.ArgumentParser:
    """Every command's name, but only the arguments of the one that was called."""
    parser = argparse.ArgumentParser(
        prog="penstock",
        description="Media and AI pipelines from a manifest.",
        epilog="Exit status: 0, 1 (the pipeline failed), 2 (what it was given is wrong), "
        "130 (Ctrl-C).",
    )
    parser.add_argument("--version", action="version", version=f"penstock {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND")
    for known, summary in COMMANDS.items():
        of_command = commands.add_parser(known, help=summary)
        if command is not None and known == name:
            command.add_arguments(of_command)
    return parser
