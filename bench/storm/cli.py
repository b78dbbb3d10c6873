"""The storm's command line."""

from __future__ import annotations

import argparse
import asyncio
import random
from collections.abc import Sequence

from bench.storm.report import TOLD_WITHIN_S, all_told, percentiles_ms, report
from bench.storm.rest import growth
from bench.storm.run import Scale, Tally, storm
from bench.storm.service import Service, service


def main(arguments: Sequence[str] | None = None) -> int:
    """Open many sessions of one service, and kill processes of some of them.

    Gives 1 where anything is not as it must be: a process or file left, a call that hangs, a
    wrong output, an error without its cause, growth, or a death that is told too late.
    """
    given = _parser().parse_args(arguments)
    scale = _scale(given)
    print(f"seed {scale.seed}", flush=True)
    with service() as running:
        tally = asyncio.run(storm(running, scale))
        violations = [*tally.faults, *_measured(tally, judged=not given.short)]
        violations += _stopped(running)
        print(report(scale, tally, violations), flush=True)
    return 1 if violations else 0


def _measured(tally: Tally, *, judged: bool) -> list[str]:
    """Growth, and deaths that were told late; of a short run only what must not grow at all."""
    grown = growth(tally.rests)
    told = all_told(tally)
    if not judged:
        return [text for name, text in grown.items() if name != "memory_bytes"]
    p99_ms, limit_ms = percentiles_ms(told)[1] if told else 0, TOLD_WITHIN_S * 1e3
    late = [f"p99 from a death to its error: {p99_ms:.0f} ms"] if p99_ms > limit_ms else []
    return [*grown.values(), *late]


def _stopped(running: Service) -> list[str]:
    """End the service, and see what is left of it."""
    running.tree.look()
    status = running.stop()
    left = [f"left of the service: {one}" for one in running.tree.remaining(5.0)]
    left += [f"left of the service: file {name}" for name in running.files()]
    return left if status == 0 else [*left, f"the service ended with status {status}"]


def _scale(given: argparse.Namespace) -> Scale:
    seed = random.randrange(1 << 32) if given.seed is None else given.seed
    return Scale(given.sessions, given.minutes, given.at_a_time, given.clients, given.kills, seed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.storm", description=main.__doc__)
    parser.add_argument("--sessions", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--minutes", type=float, help="go on for so long, in batches as of those")
    parser.add_argument("--at-a-time", type=int, default=6, help="sessions at once (default: 6)")
    parser.add_argument("--clients", type=int, default=4, help="connections (default: 4)")
    parser.add_argument("--kills", type=float, default=0.5, help="the share that is to be struck")
    parser.add_argument("--seed", type=int, help="repeats a storm's drawing, though not its times")
    parser.add_argument("--short", action="store_true", help="judge neither times nor memory")
    return parser
