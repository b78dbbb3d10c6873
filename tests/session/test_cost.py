"""What a session costs, told from its plan."""

import pytest
from pipelines import chain

from penstock.errors import ResourceLimitError
from penstock.executors.multiprocess.transport import guaranteed_pool
from penstock.manifest import READ_AHEAD_BYTES, Settings, parse_manifest
from penstock.nodes import Catalogue
from penstock.planning import make_plan
from penstock.session import cost_of
from penstock.session.cost import LEAST_NODE_BYTES, within_memory
from penstock.session.wiring import lane_specs

POOL = guaranteed_pool(16 << 20)
TAPS = (10 << 20) // 4


def planned(*types, **multiprocess):
    settings = Settings.model_validate({"limits": {"max_buffered_bytes_per_session": 10 << 20}})
    return make_plan(
        parse_manifest(chain(*types, **multiprocess)),
        Catalogue.installed().extended("penstock.testing.faults"),
        settings,
    )


@pytest.mark.parametrize(
    ("types", "processes", "pools", "queued", "queued_hosted"),
    [
        (["PassThrough"], 0, 0, 10 << 20, TAPS + READ_AHEAD_BYTES),
        (["PassThrough", "PassThrough"], 0, 0, 10 << 20, 10 << 20),
        (["EchoNode"], 1, 2, TAPS, TAPS + READ_AHEAD_BYTES),
        (["PassThrough", "EchoNode"], 1, 2, 10 << 20, TAPS + READ_AHEAD_BYTES),
        (["EchoNode", "EchoNode"], 2, 3, TAPS, TAPS + READ_AHEAD_BYTES),
    ],
)
def test_processes_pools_and_queues(types, processes, pools, queued, queued_hosted):
    plan = planned(*types)
    here, hosted = cost_of(plan, hosted=False), cost_of(plan, hosted=True)
    assert here.processes == hosted.processes == processes
    assert here.shared_memory_bytes == pools * POOL
    assert hosted.shared_memory_bytes == (processes + 2) * POOL
    assert (here.buffered_bytes, hosted.buffered_bytes) == (queued, queued_hosted)
    assert here.sessions == 1


def test_sources_and_sinks_of_a_hosted_session_take_descriptors():
    manifest = chain(*["PassThrough"] * 5, connections=[("n0", "n1"), ("n0", "n2")])
    plan = make_plan(parse_manifest(manifest), Catalogue.installed(), Settings())
    assert (len(plan.sources), len(plan.sinks)) == (3, 4)
    assert cost_of(plan, hosted=True).open_files == 32 + 5 * 3
    assert cost_of(plan, hosted=False).open_files == 0
    assert cost_of(planned("PassThrough"), hosted=True).open_files == 32


def test_a_nodes_memory_counts_for_each():
    plan = planned("EchoNode", "PassThrough", "EchoNode", node_memory_bytes=100 << 20)
    assert cost_of(plan, hosted=False).node_memory_bytes == 200 << 20
    assert cost_of(plan, hosted=True).node_memory_bytes == 300 << 20  # its host is limited too


def test_lanes_within_a_process_share_what_may_be_buffered():
    specs = list(lane_specs(planned("PassThrough", "PassThrough", "EchoNode")))
    assert {spec.max_buffered_bytes for spec in specs} == {((9 << 20) - TAPS) // 2}


def test_taps_of_small_messages_reserve_little():
    plan = planned("EchoNode", max_message_bytes=100_000)
    assert cost_of(plan, hosted=False).buffered_bytes == 200_000


@pytest.mark.parametrize("hosted", [False, True], ids=["program", "service"])
@pytest.mark.parametrize("limit", [200 << 20, 500 << 20, 4 << 30])
@pytest.mark.parametrize(
    "types", [["EchoNode"], ["EchoNode", "PassThrough", "PassThrough"], ["EchoNode"] * 4]
)
def test_a_plan_within_a_limit_of_memory_costs_no_more(types, limit, hosted):
    fitted = within_memory(planned(*types), limit, hosted=hosted)
    assert cost_of(fitted, hosted=hosted).memory_bytes <= limit
    assert fitted.configuration.node_memory_bytes >= LEAST_NODE_BYTES
    assert fitted.order == planned(*types).order


def test_what_fits_well_keeps_its_messages_and_its_own_limits():
    fitted = within_memory(planned("EchoNode", node_memory_bytes=64 << 20), 4 << 30, hosted=True)
    assert fitted.configuration.max_message_bytes == 16 << 20
    assert fitted.configuration.node_memory_bytes == 64 << 20


def test_what_can_not_run_within_a_limit_says_how_much_it_needs():
    with pytest.raises(ResourceLimitError) as caught:
        within_memory(planned("EchoNode", "EchoNode"), 20 << 20, hosted=True)
    assert caught.value.resource == "max_memory_bytes"
    assert caught.value.wished > 2 * LEAST_NODE_BYTES
    assert caught.value.limit == 20 << 20
    within_memory(planned("EchoNode", "EchoNode"), caught.value.wished * 2, hosted=True)
