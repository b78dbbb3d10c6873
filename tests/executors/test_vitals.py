"""What a process shows of its calls, and what is made of it."""

import fcntl
import os
from time import perf_counter_ns

import pytest

from penstock.errors import ResourceLimitError
from penstock.executors import vitals
from penstock.executors.vitals import Busy, ChildVitals, OverlappingPulse, OwnVitals

SECOND_NS = 1_000_000_000


@pytest.fixture
def child():
    """A page as its owner has it."""
    page = ChildVitals()
    yield page
    page.close()


def test_a_call_is_seen_while_it_goes_on(child):
    own = OwnVitals(child.fd)
    pulse = own.pulse()
    pulse.enter("process")
    assert child.busy() == []
    pulse.begin(5)
    assert child.busy() == own.busy() == [Busy(0, "process", 5)]
    pulse.end(5)
    assert child.busy() == []


def test_the_call_that_began_last_comes_last(child):
    own = OwnVitals(child.fd)
    pulses = [own.pulse() for _ in range(3)]
    for pulse, began in zip(pulses, (7, 3, 5), strict=True):
        pulse.enter("process")
        pulse.begin(began)
    assert [call.slot for call in child.busy()] == [1, 2, 0]


def test_of_calls_that_overlap_the_oldest_is_shown():
    own = OwnVitals()
    pulse = OverlappingPulse(own.pulse())
    pulse.enter("process")
    for began in (3, 4, 4):
        pulse.begin(began)
    pulse.end(3)
    assert [call.since_ns for call in own.busy()] == [4]
    pulse.end(4)
    assert [call.since_ns for call in own.busy()] == [4]
    pulse.end(4)
    assert own.busy() == []


def test_a_call_that_raises_is_over():
    own = OwnVitals()
    pulse = own.pulse()
    with pytest.raises(ValueError, match="no model"):
        fail_during_setup(own, pulse)
    assert own.busy() == []


def fail_during_setup(own, pulse):
    with pulse.during("setup"):
        assert [call.method for call in own.busy()] == ["setup"]
        raise ValueError("no model")


@pytest.mark.parametrize("method", ["setup", "produce", "teardown"])
def test_other_methods_have_no_limit_here(method):
    own = OwnVitals()
    pulse = own.pulse()
    pulse.enter(method)
    pulse.begin(1)
    assert own.overdue(99 * SECOND_NS, 1.0) is None
    assert own.look_again_s(99 * SECOND_NS, 1.0) == 1.0


@pytest.mark.parametrize("method", ["process", "flush"])
def test_when_a_call_is_past_its_limit(method):
    own = OwnVitals()
    pulse = own.pulse()
    pulse.enter(method)
    pulse.begin(10 * SECOND_NS)
    assert own.overdue(11 * SECOND_NS, 2.0) is None
    assert own.look_again_s(11 * SECOND_NS, 2.0) == 1.0
    assert own.overdue(12 * SECOND_NS, 2.0) == Busy(0, method, 10 * SECOND_NS)
    assert own.look_again_s(13 * SECOND_NS, 2.0) == 0


def test_a_time_to_come_is_taken_for_now():
    """Nobody waits for ever for a page that was overwritten."""
    own = OwnVitals()
    pulse = own.pulse()
    pulse.enter("process")
    pulse.begin((1 << 64) - 1)
    assert own.look_again_s(SECOND_NS, 2.0) == 2.0


def test_rubbish_on_the_page_is_no_call(child):
    own = OwnVitals(child.fd)
    own.pulse()
    own._words[0] = (1 << 64) - 1
    own._words[2] = 99
    own._words[3] = 1
    assert child.busy() == []


def test_there_is_room_for_so_many_nodes(monkeypatch):
    monkeypatch.setattr(vitals, "MAX_NODES", 2)
    own = OwnVitals()
    for _ in range(2):
        own.pulse()
    with pytest.raises(ResourceLimitError, match="nodes of one process: 1 wished, 0 free of 2"):
        own.pulse()


def test_the_page_can_not_be_cut_short_nor_filled_up(child):
    with pytest.raises(PermissionError):
        os.ftruncate(child.fd, 0)
    with pytest.raises(PermissionError):
        os.pwrite(child.fd, b"x", vitals.STACKS_AT + vitals.STACKS_BYTES)
    with pytest.raises(PermissionError):
        fcntl.fcntl(child.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)


def test_an_owner_only_reads(child):
    with pytest.raises(TypeError, match="read-only"):
        child._words[0] = 1


def test_both_ends_have_the_same_clock(child):
    """What another process's clock says is compared with ours."""
    own = OwnVitals(child.fd)
    pulse = own.pulse()
    pulse.enter("process")
    before_ns = perf_counter_ns()
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        pulse.begin(perf_counter_ns())
        os.write(write, b"x")
        os._exit(0)
    os.read(read, 1)
    os.waitpid(pid, 0)
    os.close(read)
    os.close(write)
    (call,) = child.busy()
    assert before_ns < call.since_ns < perf_counter_ns()
