"""The data model's relationships: executors, assignments and bridges of one session."""

from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipelines import chain, options

from penstock.bridges import Lane, LaneSpec, strategy_for
from penstock.data import CLIENT, ExecutorType, Kind
from penstock.errors import InvalidTransition, SessionError
from penstock.planning import AssignmentReason
from penstock.session import Session, SessionEvent, SessionExecutionContext, SessionStatus

EXECUTORS = list(ExecutorType)


class Executor:
    """As much of an executor as a context looks at."""

    def __init__(self, executor_type):
        self.executor_type = executor_type


def context(*executors):
    made = SessionExecutionContext("one", Session(chain("PassThrough"), options()).plan)
    for kind in executors:
        made.bind(Executor(kind))
    return made


def lane(lane_id, source="a", target="b"):
    return Lane(LaneSpec(lane_id, source, target, frozenset(Kind)))


@pytest.mark.parametrize(
    ("source", "target"), [("native", "multiprocess"), ("multiprocess", "native")]
)
def test_a_bridge_needs_both_of_its_executors(source, target):
    native_only = context(ExecutorType.NATIVE)
    with pytest.raises(SessionError, match="lane a → b: no multiprocess executor is initialised"):
        native_only.bridge(lane(1), ExecutorType(source), ExecutorType(target))
    assert native_only.data_bridges == ()


@given(
    st.lists(st.tuples(st.sampled_from(EXECUTORS), st.sampled_from(EXECUTORS)), max_size=30),
)
def test_each_connection_has_one_bridge_and_there_are_no_more_than_pairs(pairs):
    made = context(*EXECUTORS)
    for lane_id, (source, target) in enumerate(pairs):
        made.bridge(lane(lane_id), source, target)
    bridges = made.data_bridges
    assert sorted(n for bridge in bridges for n in bridge.lanes) == list(range(len(pairs)))
    for bridge in bridges:
        source, target = bridge.source_executor, bridge.target_executor
        assert bridge.conversion_strategy == strategy_for(source, target)
        assert {pairs[lane_id] for lane_id in bridge.lanes} == {(source, target)}
    crossing = [b for b in bridges if b.source_executor is not b.target_executor]
    assert len(crossing) <= len(EXECUTORS) * (len(EXECUTORS) - 1)
    assert len(bridges) == len(set(pairs))


@given(
    st.lists(st.tuples(st.sampled_from(EXECUTORS), st.sampled_from(EXECUTORS)), max_size=30),
)
def test_a_flow_has_what_leads_to_its_executor_and_what_leads_away(pairs):
    made = context(*EXECUTORS)
    for lane_id, (source, target) in enumerate(pairs):
        made.bridge(lane(lane_id), source, target)
    flows = made.data_flows
    assert [flow.executor_type for flow in flows] == EXECUTORS
    for flow in flows:
        assert {b.target_executor for b in flow.inbound_bridges} <= {flow.executor_type}
        assert {b.source_executor for b in flow.outbound_bridges} <= {flow.executor_type}
    for way in ("inbound_bridges", "outbound_bridges"):
        listed = [bridge for flow in flows for bridge in getattr(flow, way)]
        assert {id(bridge) for bridge in listed} == {id(b) for b in made.data_bridges}
        assert len(listed) == len(made.data_bridges)


def test_an_executor_type_is_bound_once_and_released_at_the_end():
    made = context(*EXECUTORS)
    with pytest.raises(SessionError, match="session one has a wasm executor already"):
        made.bind(Executor(ExecutorType.WASM))
    made.release()
    assert made.executor_bindings == ()
    assert made.executors == {}


def test_bindings_and_flows_are_frozen():
    made = context(ExecutorType.NATIVE)
    with pytest.raises(FrozenInstanceError):
        made.executor_bindings[0].session_id = "two"
    with pytest.raises(FrozenInstanceError):
        made.data_flows[0].inbound_bridges = ()


def test_every_node_has_one_executor_with_its_reason_and_keeps_it():
    session = Session(
        chain("PassThrough", "EchoNode", "EchoNode", executor_overrides={"n2": "native"}), options()
    )
    made = session.context
    assert [(one.node_id, one.executor_type) for one in made.node_executor_assignments] == [
        ("n0", ExecutorType.NATIVE),
        ("n1", ExecutorType.MULTIPROCESS),
        ("n2", ExecutorType.NATIVE),
    ]
    assert set(made.node_assignments) == {node.node_id for node in session.plan.nodes}
    overridden = made.node_executor_assignments[2].assignment_reason
    assert isinstance(overridden, AssignmentReason)
    assert "manifest" in str(overridden)
    with pytest.raises(AttributeError):
        made.node_executor_assignments[0].executor_type = ExecutorType.WASM
    with pytest.raises(TypeError):
        made.node_assignments["n0"] = ExecutorType.WASM


async def test_the_native_executor_is_always_there_and_others_where_nodes_need_them():
    async with Session(chain("EchoNode"), options()) as session:
        assert list(session.context.executors) == [ExecutorType.NATIVE, ExecutorType.MULTIPROCESS]
    async with Session(chain("PassThrough"), options()) as session:
        assert list(session.context.executors) == [ExecutorType.NATIVE]


async def test_executors_and_processes_are_isolated_between_sessions():
    manifest = chain("PassThrough", "EchoNode", "EchoNode")
    async with Session(manifest, options()) as one, Session(manifest, options()) as other:
        for kind in (ExecutorType.NATIVE, ExecutorType.MULTIPROCESS):
            assert one.context.executors[kind] is not other.context.executors[kind]
        pids = [
            {(await session.metrics()).nodes[node_id].pid for node_id in ("n1", "n2")}
            for session in (one, other)
        ]
        assert len(pids[0] | pids[1]) == 4


async def test_each_connection_of_a_session_has_one_lane_between_the_right_executors():
    manifest = chain(
        "PassThrough", "EchoNode", "EchoNode", "PassThrough", "EchoNode",
        connections=[("n0", "n1"), ("n0", "n4"), ("n1", "n2"), ("n2", "n3"), ("n4", "n3")],
    )  # fmt: skip
    async with Session(manifest, options()) as session:
        where = dict(session.context.node_assignments) | {CLIENT: ExecutorType.NATIVE}
        lanes = [
            (one.spec.source, one.spec.target)
            for bridge in session.context.data_bridges
            for one in bridge.lanes.values()
            if (where[one.spec.source], where[one.spec.target])
            == (bridge.source_executor, bridge.target_executor)
        ]
        limit = session.plan.configuration.channel_capacity
        capacities = {
            one.spec.capacity for b in session.context.data_bridges for one in b.lanes.values()
        }
    edges = [(edge.source, edge.target) for edge in session.plan.edges]
    assert sorted(lanes) == sorted([*edges, (CLIENT, "n0"), ("n3", CLIENT)])
    assert max(capacities) <= limit


@pytest.mark.parametrize(
    ("events", "refused"),
    [
        ([], SessionEvent.STARTED),
        ([], SessionEvent.COMPLETED),
        ([SessionEvent.INITIALIZED], SessionEvent.COMPLETED),
        ([SessionEvent.INITIALIZED, SessionEvent.STARTED], SessionEvent.INITIALIZED),
        ([SessionEvent.FAILED], SessionEvent.STARTED),
        ([SessionEvent.FAILED, SessionEvent.CLEANED_UP], SessionEvent.STARTED),
    ],
)
def test_a_status_is_never_skipped(events, refused):
    machine = context().machine
    for event in events:
        machine.step(event)
    with pytest.raises(InvalidTransition):
        machine.step(refused)
    assert machine.state in SessionStatus
