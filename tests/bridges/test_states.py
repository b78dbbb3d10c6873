"""A bridge's state is read from its lanes; every state can be closed."""

import pytest

from penstock.bridges import LANE_TABLE, LaneEvent, LaneState, bridge_state, close_lane
from penstock.machine import Machine


@pytest.mark.parametrize("state", list(LaneState))
def test_every_state_closes_by_steps_of_the_diagram(state):
    machine = Machine("lane", LANE_TABLE, state)
    close_lane(machine)
    assert machine.state is LaneState.CLOSED
    for before, after in zip(machine.history, list(machine.history)[1:], strict=False):
        assert after in LANE_TABLE[before].values()


def test_what_is_converting_goes_back_to_transferring_before_it_closes():
    machine = Machine("lane", LANE_TABLE, LaneState.CONVERTING)
    close_lane(machine)
    assert list(machine.history)[-3:] == [
        LaneState.BUFFERING,
        LaneState.TRANSFERRING,
        LaneState.CLOSED,
    ]


@pytest.mark.parametrize(
    ("lanes", "expected"),
    [
        ([], LaneState.CLOSED),
        ([LaneState.CLOSED, LaneState.CLOSED], LaneState.CLOSED),
        ([LaneState.CLOSED, LaneState.IDLE], LaneState.IDLE),
        ([LaneState.IDLE, LaneState.TRANSFERRING], LaneState.TRANSFERRING),
        ([LaneState.TRANSFERRING, LaneState.BLOCKED, LaneState.CONVERTING], LaneState.BLOCKED),
        ([LaneState.IDLE, LaneState.BUFFERING], LaneState.BUFFERING),
    ],
)
def test_a_bridge_is_blocked_if_any_lane_is_and_closed_when_all_are(lanes, expected):
    assert bridge_state(lanes) is expected


def test_events_are_told_apart_by_their_words():
    assert len({str(event) for event in LaneEvent}) == len(LaneEvent)
