"""``penstock run``: a manifest on files, in a session of this process."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TextIO

from penstock.cli.inputs import Input, read_input
from penstock.cli.lanes import lane_table, left_out
from penstock.cli.outputs import Files, as_data, as_line, parse_outputs, refuse_unfitting
from penstock.cli.surroundings import add_manifest, add_surroundings, surroundings
from penstock.data import Value
from penstock.errors import InputError, PenstockError, UnknownNodeError
from penstock.executors.multiprocess.reactor_loop import ReactorLoop
from penstock.manifest import Closest
from penstock.session import NodeOutput, NodeProgress, Session, SessionOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_manifest(parser)
    parser.add_argument(
        "-i",
        "--input",
        metavar="NODE=FILE|text:…|json:…",
        action="append",
        default=[],
        help="what to send to a source; may be repeated (.wav is streamed in chunks of 20 ms)",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="NODE=FILE",
        action="append",
        default=[],
        help="gather a sink's outputs in a .wav, .txt, .json, .jsonl or binary file; "
        "sinks without a file are printed",
    )
    add_surroundings(parser)
    parser.add_argument("--json", action="store_true", help="print outputs as lines of JSON")
    parser.add_argument(
        "--lanes",
        action="store_true",
        help="at the end, tell on stderr what each connection carried and who held it up",
    )
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="tell on stderr how nodes initialise"
    )


@dataclass(frozen=True, slots=True)
class _Work:
    """What goes in, and where what comes out goes."""

    inputs: Sequence[Input]
    files: Files
    json: bool
    printed: TextIO


def run(arguments: argparse.Namespace) -> int:
    with _stdout_for_outputs_only() as printed:
        around = surroundings(arguments)
        inputs = [read_input(argument) for argument in arguments.input]
        paths = parse_outputs(arguments.output, [one.path for one in inputs if one.path])
        options = SessionOptions(
            catalogue=around.catalogue,
            settings=around.settings,
            on_progress=_tell_progress if arguments.verbose else None,
            on_output=_tell_output,
        )
        session = Session(arguments.manifest, options)
        check = partial(_check_names, session.plan.order)
        check([one.node_id for one in inputs], session.sources, "takes no inputs")
        check(list(paths), session.sinks, "gives no outputs")
        for node_id, path in paths.items():
            refuse_unfitting(path, node_id, session.plan.node(node_id).emits)
        if session.sources and not inputs:
            print(f"nothing is sent; -i feeds: {', '.join(session.sources)}", file=sys.stderr)
        work = _Work(inputs, Files(paths), arguments.json, printed)
        try:
            with asyncio.Runner(loop_factory=ReactorLoop) as runner:
                runner.run(_run(session, work, lanes=arguments.lanes))
        finally:
            _warn(session.context.faults)
        for line in work.files.write():
            print(line, file=sys.stderr)
    return 0


@contextlib.contextmanager
def _stdout_for_outputs_only() -> Iterator[TextIO]:
    """Gives stdout; whatever native nodes print meanwhile goes to stderr."""
    printed = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        yield printed


def _warn(faults: Iterable[str]) -> None:
    """What was not as one may expect, and changes nothing about the outcome."""
    for fault in faults:
        print(f"warning: {fault}", file=sys.stderr)


def _check_names(
    order: Sequence[str], named: Sequence[str], known: Sequence[str], fact: str
) -> None:
    """Before anything starts."""
    closest = Closest()
    for node_id in named:
        if node_id not in order:
            raise UnknownNodeError(node_id, order, closest(node_id, order))
        if node_id not in known:
            these = ", ".join(known) or "none"
            raise InputError(f"node {node_id!r} {fact} (these do: {these})")


async def _run(session: Session, work: _Work, *, lanes: bool) -> None:
    """Send and read side by side, so that a full pipeline slows the sending down."""
    logging.getLogger("penstock.session").addHandler(logging.NullHandler())  # ``_warn`` tells it
    async with session:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_send_all(session, work.inputs))
                group.create_task(_read_all(session, work))
        except* (PenstockError, OSError) as errors:
            raise _first(errors) from None
    measured = (await session.metrics()).lanes
    if lanes:
        print(lane_table(measured), file=sys.stderr)
    _warn(left_out(measured, session.plan.edges))


def _first(errors: BaseExceptionGroup[PenstockError | OSError]) -> BaseException:
    """The session's failure reaches its senders and its reader: one of them will do."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _send_all(session: Session, inputs: Sequence[Input]) -> None:
    """Sources side by side; what one source gets, in the order of the command line."""
    by_node: defaultdict[str, list[Value]] = defaultdict(list)
    for one in inputs:
        by_node[one.node_id] += one.values
    async with asyncio.TaskGroup() as group:
        for node_id, values in by_node.items():
            group.create_task(_send(session, node_id, values))
    await session.end(keep_producing=True)


async def _send(session: Session, node_id: str, values: Sequence[Value]) -> None:
    for value in values:
        await session.send(node_id, value)


async def _read_all(session: Session, work: _Work) -> None:
    async for output in session.outputs():
        if output.node_id in work.files:
            work.files.add(output)
        else:
            shown = (
                json.dumps(as_data(output), ensure_ascii=False) if work.json else as_line(output)
            )
            print(shown, file=work.printed, flush=True)


def _tell_progress(progress: NodeProgress) -> None:
    message = f" {progress.message}" if progress.message else ""
    print(
        f"{progress.elapsed_s:6.3f} s {progress.node_id}: {progress.stage}{message}",
        file=sys.stderr,
    )


def _tell_output(output: NodeOutput) -> None:
    print(f"[{output.node_id}] {output.line}", file=sys.stderr)
