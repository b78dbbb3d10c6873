"""What each session of a storm is to do, drawn from one seed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from bench.storm.graphs import PIPELINES, Pipeline
from bench.storm.nodes import Payload
from bench.storm.strikes import Moment, Strike, Victim

_SIZES = (64, 4096, 200_000)
_LONGEST_S = 0.02
"""How long after a moment a strike comes at most."""
_EXECUTION_S = 0.06
"""The same after the call of an ``ExecutePipeline``, which tells of no moments."""
_EXECUTED = 0.25
"""The share of sessions that are one call of ``ExecutePipeline``."""
_WEIGHTS: Mapping[Victim, int] = {
    Victim.NODE: 8,
    Victim.HOST: 6,
    Victim.SUPERVISOR: 3,
    Victim.CHANNEL: 4,
    Victim.CLIENT: 1,
}


class Way(StrEnum):
    """How a session is called."""

    STREAM = "stream"
    EXECUTE = "execute"


@dataclass(frozen=True, slots=True)
class Errand:
    """One session; ``prefix`` is what its nodes' names begin with."""

    number: int
    way: Way
    pipeline: Pipeline
    payloads: tuple[Payload, ...]
    strike: Strike | None

    @property
    def prefix(self) -> str:
        return prefix_of(self.number)


def prefix_of(number: int) -> str:
    return f"s{number}-"


def errand(seed: int, number: int, kills: float) -> Errand:
    """The ``number``-th session of a storm; a share of ``kills`` of them is struck."""
    rng = random.Random(f"{seed}/{number}")
    pipeline = rng.choice(PIPELINES)
    way = Way.EXECUTE if rng.random() < _EXECUTED else Way.STREAM
    count = 1 if way is Way.EXECUTE else rng.randint(1, 20)
    noise = np.random.default_rng(rng.getrandbits(32))
    payloads = tuple(
        noise.integers(0, 256, rng.choice(_SIZES), dtype=np.uint8) for _ in range(count)
    )
    strike = _strike(rng, way, number) if rng.random() < kills else None
    return Errand(number, way, pipeline, payloads, strike)


def _strike(rng: random.Random, way: Way, number: int) -> Strike:
    victims = [one for one in Victim if way is Way.STREAM or one is not Victim.CLIENT]
    [victim] = rng.choices(victims, [_WEIGHTS[one] for one in victims])
    if way is Way.EXECUTE:
        return Strike(victim, Moment.CALLED, rng.uniform(0, _EXECUTION_S), prefix_of(number), rng)
    moment = rng.choice([one for one in Moment if one is not Moment.CALLED])
    return Strike(victim, moment, rng.uniform(0, _LONGEST_S), prefix_of(number), rng)
