"""A short storm: real kills among many sessions leave nothing, and each is told with its cause."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.storm.errands import Way, errand
from bench.storm.graphs import PIPELINES, Pipeline
from bench.storm.rest import ALLOWED, Rest, growth
from bench.storm.strikes import Moment, Victim
from bench.storm.talks import Course
from bench.storm.verdict import faults
from penstock.errors import ServiceError
from penstock.testing import Usage

ROOT = Path(__file__).parents[2]


def test_a_short_storm() -> None:
    storm = [sys.executable, "-m", "bench.storm", "--sessions", "60", "--short"]
    done = subprocess.run(storm, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "60 sessions in" in done.stdout


def test_a_seed_draws_the_same_storm_again() -> None:
    one, other, another = (errand(seed, 7, 0.5) for seed in (1, 1, 2))
    assert one.pipeline is other.pipeline
    assert all(map(np.array_equal, one.payloads, other.payloads))
    assert [bytes(p) for p in one.payloads] != [bytes(p) for p in another.payloads]


def test_everybody_is_struck_at_every_moment() -> None:
    drawn = [errand(1, number, 1.0) for number in range(1000)]
    struck = {(e.way, e.strike.victim, e.strike.moment) for e in drawn if e.strike is not None}
    moments = set(Moment) - {Moment.CALLED}
    assert {(Way.STREAM, victim, moment) for victim in Victim for moment in moments} <= struck


@pytest.mark.parametrize("pipeline", PIPELINES, ids=lambda pipeline: pipeline.name)
def test_verdicts(pipeline: Pipeline) -> None:
    """Whatever is wrong with a session that nobody struck is found."""
    drawn = (errand(3, number, 0.0) for number in range(1000))
    todo = next(one for one in drawn if one.pipeline is pipeline and len(one.payloads) > 1)
    expected = [pipeline.expected(payload) for payload in todo.payloads]
    sink = pipeline.sinks[0]

    def course(**more: object) -> Course:
        outputs = {name: [one[name] for one in expected] for name in pipeline.sinks}
        return Course(outputs, **more)  # type: ignore[arg-type]  # whatever a case says

    assert faults(todo, course()) == []
    assert faults(todo, course(hung=True)) == ["the call hung"]
    wrong = course()
    wrong.outputs[sink][0] = b"?" + wrong.outputs[sink][0][1:]
    assert wrong.outputs[sink][0] == expected[0][sink] or faults(todo, wrong) == [
        f"{sink}: an output is not what it should be"
    ]
    short = course()
    count = len(short.outputs[sink])
    short.outputs[sink].pop()
    assert faults(todo, short) == [f"{sink}: {count - 1} outputs of {count}"]
    [told] = faults(todo, course(error=ServiceError("no", error_type="INTERNAL")))
    assert "nobody struck it: no" in told


@pytest.mark.parametrize("name", ALLOWED)
def test_growth_is_found(name: str) -> None:
    def rests(*values: int) -> list[Rest]:
        return [Rest(0, Usage(**{**dict.fromkeys(ALLOWED, 9), name: v}), ()) for v in values]

    some, more = ALLOWED[name], ALLOWED[name] + 1
    assert not growth(rests(0, 0, 0, 9 * more, some, some))
    assert list(growth(rests(0, 0, 5, 0, more, more))) == [name]
    assert not growth(rests(0, 0, 5, 0, more, 0))
