"""How long a process may take, and what becomes of one that takes longer.

It is asked for its stacks first, and killed a little later, whether it has answered or not.
What has to be done when is asked for: nothing here waits, and without a limit nothing wakes.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from time import perf_counter_ns

from penstock.executors.vitals import Busy, Vitals
from penstock.executors.whereabouts import STACKS_SIGNAL

STACKS_S = 0.2
"""How long a process has to write down its stacks."""
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Overdue:
    """What did not end in time: a method, and its limit in seconds."""

    method: str
    limit_s: float


class Deadlines:
    """Those of one process.

    ``process_timeout_s`` bounds each of its calls to ``process`` and ``flush``. A process
    that was stopped is in a call, whatever it was at.
    """

    def __init__(self, vitals: Vitals, pidfd: int) -> None:
        self.process_timeout_s: float | None = None
        self.overdue: Overdue | None = None
        self._vitals = vitals
        self._pidfd = pidfd
        self._expected: tuple[int, Overdue] | None = None
        self._is_set_up = False
        self._kill_at_ns: int | None = None
        self._stopped_ns: int | None = None

    def expect(self, method: str, limit_s: float) -> None:
        """It has to come to the end of ``method`` within ``limit_s`` from now."""
        at_ns = perf_counter_ns() + round(limit_s * _SECOND_NS)
        self._expected = (at_ns, Overdue(method, limit_s))

    def expect_setup(self, limit_s: float) -> None:
        """The same of being set up, unless it is: it may have been quicker than this order."""
        if not self._is_set_up:
            self.expect("setup", limit_s)

    def set_up(self) -> None:
        """It says so."""
        self._is_set_up = True
        self._expected = None

    def stopped(self, *, is_stopped: bool) -> None:
        """A signal has stopped it, or had it go on."""
        self._stopped_ns = perf_counter_ns() if is_stopped else None

    def wait_s(self) -> float | None:
        """When to look again, in seconds from now; None: not before something happens."""
        now_ns = perf_counter_ns()
        if self.overdue is not None:
            return None if self._kill_at_ns is None else _until_s(self._kill_at_ns, now_ns)
        waits = []
        if self._expected is not None:
            waits.append(_until_s(self._expected[0], now_ns))
        if self.process_timeout_s is not None:
            waits.append(self._look_again_s(now_ns, self.process_timeout_s))
        return min(waits, default=None)

    def should_be_killed(self) -> bool:
        """Whether its time is up, once; asks for its stacks when a deadline has passed."""
        now_ns = perf_counter_ns()
        if self.overdue is None:
            late = self._late(now_ns)
            if late is not None:
                self.give_up(late)
        elif self._kill_at_ns is not None and now_ns >= self._kill_at_ns:
            self._kill_at_ns = None
            return True
        return False

    def give_up(self, why: Overdue | None = None, *, asked_s: float = 0.0) -> None:
        """It is to be killed: have it say where it is, going on where it was stopped.

        Without ``why`` it was asked to end ``asked_s`` ago, and didn't.
        """
        if self.overdue is not None:
            return
        busy = self._vitals.busy()
        self.overdue = why or Overdue(busy[-1].method if busy else "teardown", asked_s)
        self._kill_at_ns = perf_counter_ns() + round(STACKS_S * _SECOND_NS)
        for number in (STACKS_SIGNAL, signal.SIGCONT):
            signal.pidfd_send_signal(self._pidfd, number)

    def _late(self, now_ns: int) -> Overdue | None:
        if self._expected is not None and self._expected[0] <= now_ns:
            return self._expected[1]
        limit_s = self.process_timeout_s
        if limit_s is None:
            return None
        call = self._vitals.overdue(now_ns, limit_s)
        if call is None and self._stopped_ns is not None:
            is_late = now_ns - self._stopped_ns >= limit_s * _SECOND_NS
            call = Busy(0, "process", self._stopped_ns) if is_late else None
        return None if call is None else Overdue(call.method, limit_s)

    def _look_again_s(self, now_ns: int, limit_s: float) -> float:
        wait_s = self._vitals.look_again_s(now_ns, limit_s)
        if self._stopped_ns is None:
            return wait_s
        return min(wait_s, _until_s(self._stopped_ns + round(limit_s * _SECOND_NS), now_ns))


def _until_s(at_ns: int, now_ns: int) -> float:
    return max(at_ns - now_ns, 0) / _SECOND_NS
