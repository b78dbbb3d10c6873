"""A storm's result, for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.runner import percentile
from bench.storm.rest import Rest
from bench.storm.run import Scale, Tally
from bench.storm.strikes import Victim

TOLD_WITHIN_S = 0.25
"""The target for the 99th percentile, from a process's death to its client's error."""
_SHOWN = 12


def report(scale: Scale, tally: Tally, violations: Sequence[str]) -> str:
    """Tables in Markdown, and a line for each violation."""
    parts = [_head(scale, tally), _kills(tally), _rests(tally.rests), _judged(violations)]
    return "\n\n".join(parts)


def percentiles_ms(seconds: Sequence[float]) -> tuple[float, float, float]:
    """The median, the 99th percentile, and the most, in ms."""
    return tuple(percentile(seconds, percent) * 1e3 for percent in (50, 99, 100))  # type: ignore[return-value]  # of three


def all_told(tally: Tally) -> list[float]:
    return [one for told in tally.told.values() for one in told]


def _head(scale: Scale, tally: Tally) -> str:
    struck = sum(tally.struck.values())
    return (
        f"{tally.sessions} sessions in {tally.duration_s:.0f} s, {scale.at_a_time} at a time, seed "
        f"{scale.seed}: {struck} struck, {tally.well} ended well, bit for bit right"
    )


def _kills(tally: Tally) -> str:
    lines = ["| killed | times | error told | p50 ms | p99 ms | most ms |"]
    lines += ["| --- | ---: | ---: | ---: | ---: | ---: |"]
    for name, times, told in _by_victim(tally):
        shown = [f"{one:.0f}" for one in percentiles_ms(told)] if told else ["–"] * 3
        lines.append(f"| {name} | {times} | {len(told)} | {' | '.join(shown)} |")
    return "\n".join(lines)


def _by_victim(tally: Tally) -> Iterator[tuple[str, int, list[float]]]:
    for victim in Victim:
        yield victim, tally.struck[victim], tally.told.get(victim, [])
    yield "all", sum(tally.struck.values()), all_told(tally)


def _rests(rests: Sequence[Rest]) -> str:
    lines = ["| after sessions | descriptors | threads | memory (PSS) MB | left |"]
    lines += ["| ---: | ---: | ---: | ---: | ---: |"]
    every = max(len(rests) // _SHOWN, 1)
    lines += [
        f"| {rest.sessions} | {rest.usage.descriptors} | {rest.usage.threads} "
        f"| {rest.usage.memory_bytes / 1e6:.1f} | {len(rest.left)} |"
        for rest in rests[::-every][::-1]
    ]
    return "\n".join(lines)


def _judged(violations: Sequence[str]) -> str:
    if not violations:
        return "Nothing left behind, no call hung, every output right, every cause named."
    return "\n".join(["Violations:", *(f"- {one}" for one in violations)])
