"""Who has left, or has been here for too long, is noticed, and nobody else."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from penstock.manifest import ConnectionSettings
from penstock.service.rpc.liveness import Liveness, Verdict

PINGED, LEAVES, GONE = Verdict.IS_PINGED, Verdict.LEAVES, Verdict.IS_GONE
Told = list[tuple[float, Verdict]]


@dataclass(order=True)
class Timer:
    due: float
    call: Callable[[], None] = field(compare=False)
    cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        self.cancelled = True


class Clock:
    """All of an event loop that a connection's clock asks for; time passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_at(self, due: float, call: Callable[[], None]) -> Timer:
        timer = Timer(due, call)
        heapq.heappush(self.timers, timer)
        return timer

    def pass_to(self, end: float) -> None:
        while self.timers and self.timers[0].due <= 1000 + end:
            timer = heapq.heappop(self.timers)
            self.now = max(self.now, timer.due)
            if not timer.cancelled:
                timer.call()
        self.now = 1000 + end

    @property
    def is_set(self) -> bool:
        return any(not timer.cancelled for timer in self.timers)


def living(confirmed: bool = True, **limits: Any) -> tuple[Liveness, Clock, Told]:
    """One with short times, its clock, and what it tells and when, from 0 on."""
    times = {"handshake_timeout_secs": 5, "keepalive_secs": 20, "keepalive_timeout_secs": 10}
    clock, told = Clock(), cast("Told", [])

    def act(verdict: Verdict) -> None:
        told.append((clock.now - 1000, verdict))

    settings = ConnectionSettings(**(times | limits))
    one = Liveness(settings, cast("Any", clock), act)
    one.confirmed = confirmed
    one.begin()
    return one, clock, told


def test_who_never_confirms_the_limits_is_cut_off() -> None:
    one, clock, told = living(confirmed=False)
    clock.pass_to(4.9)
    one.heard()
    assert not told
    clock.pass_to(5)
    assert told == [(5, GONE)]
    assert not clock.is_set


def test_who_confirms_them_in_time_stays() -> None:
    one, clock, told = living(confirmed=False)
    clock.pass_to(4.9)
    one.confirmed = True
    clock.pass_to(19)
    assert not told


def test_who_is_silent_is_pinged_and_then_gone() -> None:
    _, clock, told = living()
    clock.pass_to(100)
    assert told == [(20, PINGED), (30, GONE)]
    assert not clock.is_set


def test_who_answers_pings_stays() -> None:
    one, clock, told = living()
    for at in range(1, 100):
        clock.pass_to(at)
        if told and told[-1] == (at - 1, PINGED):
            one.heard()
    assert [verdict for _, verdict in told] == [PINGED] * 4


def test_who_answers_once_and_is_silent_then_is_pinged_again_and_gone() -> None:
    one, clock, told = living()
    clock.pass_to(29)
    one.heard()
    clock.pass_to(200)
    assert told == [(20, PINGED), (49, PINGED), (59, GONE)]


def test_who_speaks_is_not_pinged() -> None:
    one, clock, told = living()
    for at in range(0, 190, 10):
        clock.pass_to(at)
        one.heard()
    assert not told


def test_one_without_a_call_leaves_where_that_is_wished() -> None:
    one, clock, told = living(max_idle_secs=15)
    one.note_calls(1)
    clock.pass_to(10)
    one.heard()
    one.note_calls(0)
    clock.pass_to(24)
    one.note_calls(0)
    assert not told
    clock.pass_to(25)
    assert told == [(25, LEAVES)]


def test_one_that_never_had_a_call_is_idle_from_the_start() -> None:
    _, clock, told = living(max_idle_secs=15)
    clock.pass_to(15)
    assert told == [(15, LEAVES)]


def test_one_with_a_call_is_not_idle() -> None:
    one, clock, told = living(max_idle_secs=15)
    clock.pass_to(14)
    one.heard()
    one.note_calls(2)
    one.note_calls(1)
    clock.pass_to(33)
    assert not told


def test_an_old_one_leaves_once_whether_it_has_calls_or_not() -> None:
    for count in (0, 1):
        one, clock, told = living(max_age_secs=50)
        one.note_calls(count)
        for at in range(0, 200, 10):
            clock.pass_to(at)
            one.heard()
        assert told == [(50, LEAVES)]


@pytest.mark.parametrize("timeout", [10, 1000])
def test_one_that_leaves_and_has_a_call_is_pinged_on(timeout: float) -> None:
    one, clock, told = living(max_age_secs=5, keepalive_timeout_secs=timeout)
    one.note_calls(1)
    clock.pass_to(20 + timeout)
    assert told == [(5, LEAVES), (20, PINGED), (20 + timeout, GONE)]


def test_one_that_has_ended_is_told_nothing() -> None:
    one, clock, told = living()
    one.end()
    clock.pass_to(100)
    assert not told


def test_a_client_may_ping_now_and_then() -> None:
    one, clock, _ = living(min_ping_interval_secs=10)
    for at in range(10, 200, 10):
        clock.pass_to(at)
        assert one.allows_ping(sent=False)


def test_a_client_that_pings_too_often_may_do_so_twice() -> None:
    one, clock, _ = living(min_ping_interval_secs=10)
    assert [one.allows_ping(sent=False) for _ in range(4)] == [True, True, True, False]
    clock.pass_to(20)
    assert not one.allows_ping(sent=False)


def test_a_client_that_is_sent_something_may_ping_each_time() -> None:
    one, _, _ = living(min_ping_interval_secs=10)
    assert all(one.allows_ping(sent=True) for _ in range(9))
    assert [one.allows_ping(sent=False) for _ in range(2)] == [True, True]
    assert one.allows_ping(sent=True)
    assert [one.allows_ping(sent=False) for _ in range(3)] == [True, True, False]
