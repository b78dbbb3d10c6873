"""What is ordered of a zygote, more than it has room for, and of one that is stuck."""

from __future__ import annotations

import errno
import os
import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from penstock.executors.multiprocess import messages
from penstock.executors.multiprocess.channel import encoded
from penstock.executors.multiprocess.launcher import Launcher
from penstock.executors.multiprocess.supervisor import PROCESS_NAME
from penstock.executors.multiprocess.transport import socket_pair
from penstock.testing.leaks import descendants

FEW_FILES = 40
ROOM = 40
"""More orders than there is room for in the least buffer that a socket may have."""


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Launcher]:
    """Its zygotes have no more time for their first word than for others."""
    monkeypatch.setattr("penstock.executors.multiprocess.launcher.START_S", 0)
    launcher = Launcher()
    yield launcher
    launcher.close()


def stopped(launcher: Launcher) -> int:
    """Its zygote, which does nothing from now on and has little room for orders."""
    launcher.warm_up()
    assert launcher.pid is not None
    assert launcher._sock is not None
    launcher._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    os.kill(launcher.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, launcher.pid, os.WSTOPPED | os.WNOWAIT)
    return launcher.pid


def supervised(launcher: Launcher, stack: ExitStack) -> socket.socket:
    """A supervisor that goes on; it says on the socket that a node came without its channel."""
    ours, theirs = socket_pair()
    stack.enter_context(ours)
    with theirs:
        launcher.supervise(theirs)
    ours.send(encoded(messages.Spawn("n", 1.0, None, None)))
    ours.settimeout(20)
    return ours


def ordered(launcher: Launcher, stack: ExitStack) -> tuple[int, socket.socket]:
    """A supervisor that is to end at once, by its number; what it says comes on the socket."""
    ours, theirs = socket_pair()
    stack.enter_context(ours)
    with theirs:
        number = launcher.supervise(theirs)
    ours.send(encoded(messages.Stop(0.0)))
    ours.settimeout(20)
    return number, ours


def has_spoken(ours: socket.socket) -> bool:
    """Whether its supervisor is there, once one is or nobody will be."""
    try:
        return bool(ours.recv(1))
    except ConnectionResetError:  # with what it hasn't read
        return False


@contextmanager
def files_allowed(soft: int) -> Iterator[None]:
    """This process may have so many descriptors, and what it starts."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_zygote_has_supervisors_beyond_the_files_that_its_program_may_have_for_now(
    launcher: Launcher,
) -> None:
    with files_allowed(FEW_FILES):
        launcher.warm_up()
    with ExitStack() as stack:
        supervisors = [supervised(launcher, stack) for _ in range(FEW_FILES)]
        assert all(has_spoken(ours) for ours in supervisors)


def test_what_another_zygote_forks_may_have_as_many_files_as_before(launcher: Launcher) -> None:
    """Though the program, as a service does, may have more itself by then."""
    with files_allowed(FEW_FILES):
        launcher.warm_up()
    assert launcher.pid is not None
    os.kill(launcher.pid, signal.SIGKILL)
    os.waitid(os.P_PID, launcher.pid, os.WEXITED | os.WNOWAIT)
    with ExitStack() as stack:
        assert has_spoken(supervised(launcher, stack))
        supervisors = [one for one in descendants() if one.name == PROCESS_NAME]
        allowed = [resource.prlimit(one.pid, resource.RLIMIT_NOFILE) for one in supervisors]
        assert [soft for soft, _ in allowed] == [FEW_FILES]


def test_orders_that_a_zygote_has_no_room_for_wait_for_it(launcher: Launcher) -> None:
    with ExitStack() as stack:
        zygote = stopped(launcher)
        orders = [ordered(launcher, stack) for _ in range(ROOM)]
        assert [number for number, _ in orders] == list(range(1, ROOM + 1))
        os.kill(zygote, signal.SIGCONT)
        for number, ours in orders:
            assert has_spoken(ours), f"order {number} was lost"
            launcher.answered(number)
        assert launcher.pid == zygote


def test_whoever_closes_the_launcher_lets_go_of_what_waits(launcher: Launcher) -> None:
    with ExitStack() as stack:
        zygote = stopped(launcher)
        orders = [ordered(launcher, stack) for _ in range(ROOM)]
        os.kill(zygote, signal.SIGKILL)
        launcher.close()
        assert not any(has_spoken(ours) for _, ours in orders)


def test_a_zygote_that_goes_on_is_not_stuck_however_long_a_supervisor_takes(
    launcher: Launcher,
) -> None:
    with ExitStack() as stack:
        zygote = stopped(launcher)
        numbers = [ordered(launcher, stack)[0] for _ in range(3)]
        before_s = launcher.patience_s(numbers[2], 60)
        launcher.answered(numbers[0])
        assert launcher.patience_s(numbers[2], 60) > before_s
        assert launcher.pid == zygote
        os.kill(zygote, signal.SIGCONT)


def test_one_that_has_yet_to_start_is_not_stuck(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else who comes meanwhile would end it, and with it what was ordered for the last time."""
    monkeypatch.setattr("penstock.executors.multiprocess.launcher.START_S", 60)
    with ExitStack() as stack:
        zygote = stopped(launcher)
        first, second = (ordered(launcher, stack)[0] for _ in range(2))
        assert launcher.patience_s(first, 0) > 0
        assert launcher.pid == zygote
        launcher.answered(first)
        assert launcher.patience_s(second, 0) == 0
        assert launcher.pid is None


def test_one_that_was_forked_has_its_time_from_then_on(launcher: Launcher) -> None:
    """Others that speak before it show that it was: they don't end it, nor lengthen its time."""
    with ExitStack() as stack:
        zygote = stopped(launcher)
        numbers = [ordered(launcher, stack)[0] for _ in range(3)]
        launcher.answered(numbers[1])
        left_s = launcher.patience_s(numbers[0], 60)
        assert left_s > 0
        launcher.answered(numbers[2])
        assert 0 < launcher.patience_s(numbers[0], 60) < left_s
        assert launcher.patience_s(numbers[0], 0) == 0
        assert launcher.pid == zygote  # it is not why that one is silent
        os.kill(zygote, signal.SIGCONT)


def test_who_speaks_late_says_nothing_of_another_zygote(launcher: Launcher) -> None:
    with ExitStack() as stack:
        stopped(launcher)
        late, _ = ordered(launcher, stack)
        assert launcher.patience_s(late, 0) == 0
        number, _ = ordered(launcher, stack)
        before_s = launcher.patience_s(number, 60)
        launcher.answered(late)
        assert launcher.patience_s(number, 60) < before_s


def test_one_that_is_stuck_is_replaced_once(launcher: Launcher) -> None:
    with ExitStack() as stack:
        zygote = stopped(launcher)
        lost = [ordered(launcher, stack) for _ in range(3)]
        assert launcher.patience_s(lost[0][0], 0) == 0
        number, ours = ordered(launcher, stack)
        replacement = launcher.pid
        assert replacement not in {zygote, None}
        for late, _ in lost[1:]:
            assert launcher.patience_s(late, 60) == 0  # they are of the one before
        assert launcher.pid == replacement
        assert has_spoken(ours)
        assert launcher.patience_s(number, 60) > 0
        assert not any(has_spoken(gone) for _, gone in lost)


def test_what_has_had_no_room_goes_to_the_replacement(launcher: Launcher) -> None:
    with ExitStack() as stack:
        stopped(launcher)
        orders = [ordered(launcher, stack) for _ in range(ROOM)]
        assert launcher.patience_s(1, 0) == 0
        answers = {number: has_spoken(ours) for number, ours in orders}
        first = min(number for number, spoke in answers.items() if spoke)
        assert 1 < first < ROOM
        assert all(answers[number] for number in range(first, ROOM + 1))
        assert launcher.patience_s(first - 1, 60) == 0
        assert launcher.patience_s(first, 60) > 0


def test_what_there_is_too_little_of_for_one_order_fails_no_other(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_fds = socket.send_fds

    def refused(*_: object) -> int:
        raise OSError(errno.ETOOMANYREFS, "too many")

    with ExitStack() as stack:
        zygote = stopped(launcher)
        orders = [ordered(launcher, stack) for _ in range(ROOM)]
        monkeypatch.setattr(socket, "send_fds", refused)
        launcher.answered(1)
        orders.append(ordered(launcher, stack))  # behind those that wait
        monkeypatch.setattr(socket, "send_fds", send_fds)
        os.kill(zygote, signal.SIGCONT)
        for number, ours in orders:
            assert has_spoken(ours)
            launcher.answered(number)
