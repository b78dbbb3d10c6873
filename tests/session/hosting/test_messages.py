"""What a front door and a host tell each other arrives as it was."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import (
    ConservationError,
    Fault,
    InvalidTransition,
    LaneClosedError,
    ManifestError,
    MissingExtraError,
    NodeExecutionError,
    NodeExitedError,
    NodeTimeoutError,
    PenstockError,
    ResourceLimitError,
    StallError,
    SupervisionError,
)
from penstock.manifest import Settings, parse_manifest
from penstock.nodes import Catalogue
from penstock.planning import make_plan
from penstock.session.hosting.failures import Failure, as_error, as_failure
from penstock.session.hosting.plans import decode_plan, encode_plan

EXAMPLES: list[PenstockError] = [
    ManifestError([Fault("nodes[0]", "no such type", suggestion="EchoNode"), Fault("", "empty")]),
    StallError(["a", "client"], limit_s=2.5),
    NodeExecutionError(
        "asr",
        during="process",
        exception_type="ValueError",
        exception_message="half a \ud800 character",
        traceback="Traceback …",
    ),
]


def over_the_wire(error: PenstockError) -> PenstockError:
    data = msgspec.msgpack.encode(as_failure(error))
    return as_error(msgspec.msgpack.decode(data, type=Failure))


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_keeps_its_class_its_message_and_its_facts(error):
    arrived = over_the_wire(error)
    assert type(arrived) is type(error)
    assert str(arrived) == str(error).replace("\ud800", "?")
    assert vars(arrived).keys() == vars(error).keys()
    for name, fact in vars(error).items():
        expected = fact.replace("\ud800", "?") if isinstance(fact, str) else fact
        assert getattr(arrived, name) == expected


@pytest.mark.parametrize(
    "kind", ["Fault", "Sequence", "dataclass", "nothing of the sort", "ServiceError"]
)
def test_a_class_that_no_session_ends_with_is_refused(kind):
    with pytest.raises(ValueError, match=kind):
        as_error(Failure(kind, "said so", {}))


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"node_id": "n0"},
        {"node_id": 7, "stderr": ""},
        {"node_id": "n0", "stderr": "", "__class__": "int"},
    ],
)
def test_an_error_without_its_own_facts_is_refused(facts):
    with pytest.raises(ValueError, match="NodeError"):
        as_error(Failure("NodeError", "said so", facts))


class _OwnError(SupervisionError):
    """A class that the other side doesn't know."""


def test_an_error_of_another_class_arrives_as_the_closest_one():
    arrived = over_the_wire(_OwnError("gone"))
    assert type(arrived) is SupervisionError
    assert str(arrived) == "gone"


OTHERS = [
    NodeExitedError("n", pid=1, signal="SIGSEGV", exceeded_bytes=5),
    NodeTimeoutError("n", during="setup", limit_s=1, stacks="here"),
    ResourceLimitError("processes", wished=2, free=1, limit=3),
    ConservationError("a → b", sent=3, received=1, dropped=1),
    LaneClosedError("a → b", "gone"),
    MissingExtraError("AsrNode", "pocketsphinx", extra="asr"),
    InvalidTransition("lane", "a", "b", ["a"]),
]


@pytest.mark.parametrize("error", OTHERS, ids=lambda error: type(error).__name__)
def test_every_fact_arrives(error):
    arrived = over_the_wire(error)
    assert type(arrived) is type(error)
    assert vars(arrived) == vars(error)


PARAMS = st.dictionaries(
    st.text(max_size=5), st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text()
)


@given(
    executors=st.lists(st.sampled_from(["native", "multiprocess"]), min_size=1, max_size=5),
    capacity=st.integers(1, 10_000),
    memory=st.none() | st.integers(1 << 26, 1 << 30),
)
def test_a_plan_arrives_whole(executors, capacity, memory):
    manifest = {
        "version": "v1",
        "metadata": {
            "name": "plan",
            "multiprocess": {
                "channel_capacity": capacity,
                "node_memory_bytes": memory,
                "executor_overrides": {f"n{i}": kind for i, kind in enumerate(executors)},
            },
        },
        "nodes": [{"id": f"n{i}", "node_type": "PassThrough"} for i in range(len(executors))],
        "connections": [{"from": f"n{i}", "to": f"n{i + 1}"} for i in range(len(executors) - 1)],
    }
    plan = make_plan(parse_manifest(manifest), Catalogue.installed(), Settings(), trusted=True)
    assert decode_plan(encode_plan(plan)) == plan
