from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import Fault
from penstock.manifest import Manifest, ManifestError, NodeSpec, parse_manifest, read_draft

SMALLEST = {"version": "v1", "nodes": [{"id": "a", "node_type": "Echo"}]}

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
NEARLY = st.fixed_dictionaries(
    {},
    optional={
        "version": st.sampled_from(["v1", 1, "2"]) | JSON_VALUES,
        "metadata": st.dictionaries(st.sampled_from(["name", "multiprocess"]), JSON_VALUES)
        | JSON_VALUES,
        "nodes": st.lists(
            st.dictionaries(st.sampled_from(["id", "node_type", "params", "host"]), JSON_VALUES)
        )
        | JSON_VALUES,
        "connections": st.lists(
            st.dictionaries(st.sampled_from(["from", "to", "drop_policy"]), JSON_VALUES)
        )
        | JSON_VALUES,
    },
)


def faults(source: Any) -> dict[str, str]:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(source)
    return {fault.path: str(fault) for fault in caught.value.faults}


def with_(**changes: Any) -> dict[str, Any]:
    return {**SMALLEST, **changes}


def parsed_or_refused(source: Any) -> Manifest | tuple[Fault, ...]:
    try:
        return parse_manifest(source)
    except ManifestError as error:
        return error.faults


@given(st.binary())
def test_any_bytes_parse_or_are_refused(content: bytes) -> None:
    assert parsed_or_refused(content)


@given(st.text())
def test_any_text_parses_or_is_refused(text: str) -> None:
    assert parsed_or_refused(f"{text}\n")


@given(JSON_VALUES | NEARLY)
def test_any_value_parses_or_is_refused(value: Any) -> None:
    assert parsed_or_refused(value if isinstance(value, dict) else {"nodes": value})
    assert parsed_or_refused(json.dumps(value) + "\n")


@pytest.mark.parametrize("opening", ["[", '{"a":', "- ", "a: [", "- ? "])
def test_endless_nesting_is_refused(opening: str) -> None:
    (message,) = faults(opening * 100_000 + "\n").values()
    assert any(word in message for word in ("nested", "not YAML", "key that is not text"))


@pytest.mark.parametrize(("levels", "fits"), [(29, True), (30, False)])
def test_32_levels_are_the_most(levels: int, fits: bool) -> None:
    nested: Any = 1
    for _ in range(levels - 1):
        nested = [nested]
    document = with_(nodes=[{"id": "a", "node_type": "T", "params": {"deep": nested}}])
    for source in (document, json.dumps(document)):
        if fits:
            parse_manifest(source)
        else:
            (message,) = faults(source).values()
            assert "nested more than 32 levels" in message


def test_a_document_that_contains_itself_is_refused() -> None:
    document: dict[str, Any] = with_()
    document["metadata"] = {"again": document}
    assert all("nested" in message for message in faults(document).values())


@pytest.mark.parametrize("odd", [{10**5000: 1}, {None: 1}, {"x": 10**5000}, {"x": object()}])
def test_what_no_json_text_could_say_is_refused(odd: dict[Any, Any]) -> None:
    assert next(iter(faults(with_(metadata=odd)))).startswith("metadata")


@pytest.mark.parametrize("lone", ["\ud800", "a\udfffb"])
def test_text_that_is_no_unicode_is_refused(lone: str) -> None:
    for document in (with_(metadata={"name": lone}), with_(metadata={lone: 1})):
        for source in (document, json.dumps(document)):
            assert any("surrogate" in message for message in faults(source).values())


def test_shared_parts_can_not_multiply() -> None:
    shared: Any = [0] * 10
    for _ in range(12):
        shared = [shared] * 10
    assert "values" in faults(with_(metadata={"large": shared}))[""]


def test_more_than_a_mebibyte_is_refused(tmp_path: Path) -> None:
    text = json.dumps(with_(metadata={"description": "x" * (1 << 20)}))
    path = tmp_path / "large.json"
    path.write_text(text)
    for source in (text, text.encode(), path):
        assert "larger than 1048576 bytes" in faults(source)[""]


@pytest.mark.parametrize(
    "text",
    [
        '{"version": "v1", "version": "v1", "nodes": []}',
        "version: v1\nversion: v1\nnodes: []\n",
        '{"version": "v1", "nodes": [{"id": "a", "id": "b", "node_type": "T"}]}',
    ],
)
def test_duplicate_keys_are_refused(text: str) -> None:
    (message,) = faults(text).values()
    assert "written twice" in message


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "1" * 5000, "1" * 30])
def test_numbers_that_are_none_are_refused(number: str) -> None:
    assert faults(f'{{"version": "v1", "metadata": {{"x": {number}}}, "nodes": []}}')


@pytest.mark.parametrize("number", [".nan", ".inf", "-.INF", "1e999", "9" * 20])
def test_yaml_numbers_that_are_none_are_refused(number: str) -> None:
    assert faults(f"version: v1\nmetadata:\n  x: {number}\nnodes: []\n")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a: &x [1]\nb: *x\n", "anchor"),
        ("a: *x\n", "alias"),
        ("<<: {a: 1}\n", "merge"),
        ("a: !!python/object:os.system {}\n", "tag"),
        ("a: !!binary aGk=\n", "tag"),
        ("1: a\n", "key"),
        ("a: 1\n---\nb: 2\n", "document"),
        ("a: [\n", "not YAML"),
        ("a: \x01\n", "not YAML"),
    ],
)
def test_what_yaml_could_hide_is_refused(text: str, word: str) -> None:
    (message,) = faults(text).values()
    assert word in message


@pytest.mark.parametrize("source", [b"\xff\xfe", "\n", "[]\n", "42\n", 42, None, object()])
def test_what_is_no_object_is_refused(source: Any) -> None:
    assert faults(source)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path, "null\0character"):
        assert "can't be read" in faults(path)[""]


def test_json_yaml_a_path_and_a_mapping_mean_the_same(tmp_path: Path) -> None:
    expected = parse_manifest(SMALLEST)
    text = json.dumps(SMALLEST)
    yaml = "version: v1\nnodes:\n- {id: a, node_type: Echo}\n"
    path = tmp_path / "pipeline.yaml"
    path.write_text(yaml)
    for source in (text, text.encode(), yaml, path, str(path), expected):
        assert parse_manifest(source) == expected


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{version", "is not JSON: Expecting property name"),
        (b'{"a": 1, "a": 2}', "key 'a' is written twice"),
        (b"\xff", "is not UTF-8: invalid start byte at byte 0"),
        (b" " * (1 << 20) + b"{}", "is larger than 1048576 bytes"),
    ],
)
def test_a_file_that_can_not_be_parsed_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / f"{'long' * 30}.json"
    path.write_bytes(content)
    assert faults(path)[""].startswith(f"{str(path)!r}: {said}")


def test_what_a_number_is_not_is_said_once() -> None:
    verify = {"multiprocess": {"channel_capacity": "many", "process_timeout_secs": "long"}}
    assert faults(with_(metadata=verify)) == {
        f"metadata.multiprocess.{key}": f"metadata.multiprocess.{key}: must be {kind}, got {found}"
        for key, kind, found in (
            ("channel_capacity", "a valid integer", "'many'"),
            ("process_timeout_secs", "a valid number", "'long'"),
        )
    }


def test_a_file_is_what_its_name_says(tmp_path: Path) -> None:
    flow = "{version: v1, nodes: [{id: a, node_type: Echo}]}"
    for name in ("flow.yaml", "flow.YML"):
        (tmp_path / name).write_text(flow)
        assert parse_manifest(tmp_path / name) == parse_manifest(SMALLEST)
    (tmp_path / "flow.json").write_text(flow)
    assert "is not JSON" in faults(tmp_path / "flow.json")[""]
    (tmp_path / "block.json").write_text("version: v1\n")
    assert "is not JSON" in faults(tmp_path / "block.json")[""]
    (tmp_path / "json.yaml").write_text(json.dumps(SMALLEST))
    (tmp_path / "json").write_text(json.dumps(SMALLEST))
    for name in ("json.yaml", "json"):
        assert parse_manifest(tmp_path / name) == parse_manifest(SMALLEST)


def test_a_mapping_of_any_class_will_do() -> None:
    class Pairs(Mapping[str, Any]):
        def __getitem__(self, key: str) -> Any:
            return SMALLEST[key]

        def __iter__(self) -> Iterator[str]:
            return iter(SMALLEST)

        def __len__(self) -> int:
            return len(SMALLEST)

    assert parse_manifest(Pairs()) == parse_manifest(SMALLEST)


def test_yaml_words_are_those_of_yaml_1_2() -> None:
    text = (
        "version: v1\nnodes:\n- id: a\n  node_type: T\n  params:\n"
        "    {no: no, day: 2026-01-01, on: true, none: ~, i: -7, f: 1.5e3, h: 0x1F, q: '5'}\n"
    )
    assert parse_manifest(text).nodes[0].params == {
        "no": "no",
        "day": "2026-01-01",
        "on": True,
        "none": None,
        "i": -7,
        "f": 1500.0,
        "h": 31,
        "q": "5",
    }


@pytest.mark.parametrize("version", ["v1", "1", "1.0", "1.0.0", 1, 1.0])
def test_every_spelling_of_version_1(version: object) -> None:
    assert parse_manifest(with_(version=version)).version == "v1"


def test_a_wrong_version_is_shown() -> None:
    found = faults(with_(version="v2"))
    assert found == {"version": "version: must be 'v1' (or 1, 1.0, 1.0.0), got 'v2'"}


@pytest.mark.parametrize("version", ["v2", 2, "", None, True, [], "1.0.0.0"])
def test_other_versions_are_refused(version: object) -> None:
    assert list(faults(with_(version=version))) == ["version"]


def test_every_fault_is_reported_with_its_path() -> None:
    found = faults(
        {
            "version": "v9",
            "nods": [],
            "metadata": {
                "multiprocess": {
                    "channel_capacity": 10_001,
                    "init_timeout_secs": 0,
                    "process_timeout_secs": 3601,
                    "max_proceses_per_session": 3,
                    "executor_overrides": {"a": "natve"},
                }
            },
            "nodes": [{"id": "@a", "node_typ": "T"}, {"id": "b\n", "node_type": "T"}, 7],
            "connections": [{"from": "a"}],
        }
    )
    assert set(found) == {
        "version",
        "nods",
        "metadata.multiprocess.channel_capacity",
        "metadata.multiprocess.init_timeout_secs",
        "metadata.multiprocess.process_timeout_secs",
        "metadata.multiprocess.max_proceses_per_session",
        "metadata.multiprocess.executor_overrides.a",
        "nodes[0].id",
        "nodes[0].node_type",
        "nodes[0].node_typ",
        "nodes[1].id",
        "nodes[2]",
        "connections[0].to",
    }
    assert "did you mean 'nodes'?" in found["nods"]
    assert "did you mean 'node_type'?" in found["nodes[0].node_typ"]
    suggested = found["metadata.multiprocess.max_proceses_per_session"]
    assert "did you mean 'max_processes_per_session'?" in suggested
    assert found["metadata.multiprocess.channel_capacity"] == (
        "metadata.multiprocess.channel_capacity: must be less than or equal to 10000, got 10001"
    )


@pytest.mark.parametrize("capacity", [0, -1, 10_001, True, "100", 1.5])
def test_capacity_has_bounds_on_a_connection_too(capacity: object) -> None:
    connection = {"from": "a", "to": "b", "channel_capacity": capacity}
    assert list(faults(with_(connections=[connection]))) == ["connections[0].channel_capacity"]


def test_unknown_metadata_is_kept() -> None:
    manifest = parse_manifest(with_(metadata={"name": "n", "team": {"lead": "x"}}))
    assert manifest.metadata.model_extra == {"team": {"lead": "x"}}


def test_older_keys_are_read_and_warned_about_where_they_ask_for_something() -> None:
    node = {"id": "a", "node_type": "T", "is_streaming": False, "host": "h", "executor": "native"}
    manifest = parse_manifest(with_(nodes=[node]))
    assert [warning.path for warning in manifest.warnings] == ["nodes[0].executor", "nodes[0].host"]
    assert "executor_overrides" in manifest.warnings[0].message


def test_node_ids_may_be_any_printable_text_up_to_128() -> None:
    spec = NodeSpec(id="ä → 音" + "x" * 122, node_type="T")
    assert len(spec.id) == 127
    for wrong in ("", "x" * 129, "a\x00", "a\x7f", "@in"):
        assert faults(with_(nodes=[{"id": wrong, "node_type": "T"}]))


def test_a_draft_keeps_what_is_right_with_its_index() -> None:
    draft = read_draft(
        {
            "version": "v1",
            "metadata": {"multiprocess": {"channel_capacity": 0, "verify": True}},
            "nodes": [{"id": "a"}, {"id": "b", "node_type": "T"}],
            "connections": [{"from": "a"}, {"from": "a", "to": "b"}],
        }
    )
    assert draft.manifest is None
    assert [(index, spec.id) for index, spec in draft.nodes] == [(1, "b")]
    assert [index for index, _ in draft.connections] == [1]
    assert draft.unread == {"a"}
    assert draft.complete
    assert draft.metadata.multiprocess.verify is True
