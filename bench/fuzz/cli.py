"""The fuzz's command line."""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Sequence

from bench.fuzz.run import Tally, fuzz
from bench.storm.rest import growth
from bench.storm.service import Service, service

LEAST_LOOKS = 9
"""In fewer, a third is a look or two, and shows which hosts were just being forked."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Call every method of a service with messages of every sort.

    Gives 1 where a call failed by the service's fault or didn't end, where the service said so
    in its log, or where something was left or grew.
    """
    given = _parser().parse_args(arguments)
    first_seed = random.randrange(1 << 32) if given.seed is None else given.seed
    print(f"seed {first_seed}", flush=True)
    started = time.monotonic()
    with service() as running:
        tally = fuzz(running, given.requests, first_seed)
        found = [*tally.found, *_after(running, tally, judged=not given.short)]
    _say(tally, time.monotonic() - started, found)
    return 1 if found else 0


def _after(running: Service, tally: Tally, *, judged: bool) -> list[str]:
    found = list(growth(tally.rests).values()) if judged and len(tally.rests) >= LEAST_LOOKS else []
    running.tree.look()
    status = running.stop()
    found += [f"left of the service: {one}" for one in running.tree.remaining(5.0)]
    found += [f"left of the service: file {name}" for name in running.files()]
    return found if status == 0 else [*found, f"the service ended with status {status}"]


def _say(tally: Tally, took_s: float, found: Sequence[str]) -> None:
    for path, count in sorted(tally.called.items()):
        print(f"{count:8}  {path}")
    print(
        f"{sum(tally.called.values())} calls with {tally.requests} messages in {took_s:.0f} s: "
        f"{len(found)} found"
    )
    for one in found:
        print(f"\n{one}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.fuzz", description=main.__doc__)
    parser.add_argument("--requests", type=int, default=10_000, help="calls (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="makes the same calls again")
    parser.add_argument("--short", action="store_true", help="don't judge growth")
    return parser
