"""Both state machines against random events: only what the tables say, never anything else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.bridges import LANE_TABLE, LaneEvent, LaneState
from penstock.errors import InvalidTransition
from penstock.machine import Machine
from penstock.session import SESSION_TABLE, SessionEvent, SessionStatus

LANE_DIAGRAM = """
Idle data available Transferring
Transferring conversion needed Converting
Converting waiting for target Buffering
Buffering target ready Transferring
Transferring transfer complete Idle
Transferring backpressure active Blocked
Blocked space available Transferring
Idle session terminated Closed
Transferring session terminated Closed
Blocked session terminated Closed
"""
SESSION_DIAGRAM = """
Initializing all executors initialized Ready
Initializing failure Error
Ready pipeline execution starts Executing
Executing nodes processing Executing
Executing pipeline complete Terminating
Executing failure Error
Ready client disconnect Terminating
Executing client disconnect Terminating
Terminating cleanup complete Terminated
Error cleanup complete Terminated
"""
MACHINES = [
    (LANE_TABLE, LaneState, LaneEvent, LaneState.IDLE, LANE_DIAGRAM),
    (SESSION_TABLE, SessionStatus, SessionEvent, SessionStatus.INITIALIZING, SESSION_DIAGRAM),
]


@pytest.mark.parametrize(("table", "states", "events", "initial", "diagram"), MACHINES)
def test_tables_are_the_diagrams(table, states, events, initial, diagram):
    steps = {f"{s} {e} {t}" for s, row in table.items() for e, t in row.items()}
    assert steps == set(diagram.strip().splitlines())
    assert set(table) == set(states)


@pytest.mark.parametrize(("table", "states", "events", "initial", "diagram"), MACHINES)
def test_every_state_can_be_reached(table, states, events, initial, diagram):
    reached, frontier = {initial}, [initial]
    while frontier:
        for target in table[frontier.pop()].values():
            if target not in reached:
                reached.add(target)
                frontier.append(target)
    assert reached == set(states)


@pytest.mark.parametrize(("table", "states", "events", "initial", "diagram"), MACHINES)
@given(data=st.data())
def test_random_events_follow_the_table_or_are_refused(
    table, states, events, initial, diagram, data
):
    machine = Machine("test", table, initial)
    for event in data.draw(st.lists(st.sampled_from(list(events)), max_size=40)):
        before = machine.state
        expected = table[before].get(event)
        assert machine.can(event) == (expected is not None)
        if expected is None:
            with pytest.raises(InvalidTransition) as refused:
                machine.step(event)
            assert refused.value.state == before
            assert machine.state is before
        else:
            assert machine.step(event) is expected is machine.state


def test_a_refusal_tells_the_history():
    machine = Machine("session 7", SESSION_TABLE, SessionStatus.INITIALIZING)
    machine.step(SessionEvent.INITIALIZED)
    with pytest.raises(InvalidTransition, match=r"session 7.*Initializing → Ready"):
        machine.step(SessionEvent.CLEANED_UP)
