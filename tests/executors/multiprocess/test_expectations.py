"""What is expected of a process, and when it was there before."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from penstock.executors.multiprocess.deadlines import Deadlines
from penstock.executors.vitals import ChildVitals

LIMIT_S = 60.0
NO_PROCESS = -1


@pytest.fixture
def deadlines() -> Iterator[Deadlines]:
    vitals = ChildVitals()
    yield Deadlines(vitals, NO_PROCESS)
    vitals.close()


def test_a_process_that_is_to_be_set_up_has_a_deadline(deadlines: Deadlines) -> None:
    deadlines.expect_setup(LIMIT_S)
    wait_s = deadlines.wait_s()
    assert wait_s is not None
    assert 0 < wait_s <= LIMIT_S


def test_a_process_that_was_set_up_has_none(deadlines: Deadlines) -> None:
    deadlines.expect_setup(LIMIT_S)
    deadlines.set_up()
    assert deadlines.wait_s() is None


def test_a_process_that_is_ready_before_its_deadline_is_told_has_none(
    deadlines: Deadlines,
) -> None:
    deadlines.set_up()
    deadlines.expect_setup(0.0)
    assert deadlines.wait_s() is None
    assert not deadlines.should_be_killed()


def test_a_process_that_was_set_up_can_still_be_late_to_end(deadlines: Deadlines) -> None:
    deadlines.set_up()
    deadlines.expect("teardown", LIMIT_S)
    assert deadlines.wait_s() is not None
