from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.data import ExecutorType, Value
from penstock.errors import ConfigurationError
from penstock.manifest import Settings
from penstock.nodes import Node, NodeType, node
from penstock.nodes.catalogue import describe
from penstock.planning import (
    Default,
    ExecutorRegistry,
    ExplicitMapping,
    MappingSource,
    PatternMatch,
    PatternRule,
)

NATIVE, MULTIPROCESS, WASM = ExecutorType.NATIVE, ExecutorType.MULTIPROCESS, ExecutorType.WASM


class Same(Node):
    def process(self, item: Value) -> Value:
        return item


@node("SilentNode")
class Silent(Same):
    pass


@node("DeclaringNode", executor=NATIVE)
class Declaring(Same):
    pass


SILENT: NodeType = describe(Silent)
DECLARING: NodeType = describe(Declaring)


def faults(**executors: Any) -> dict[str, str]:
    settings = Settings.model_validate({"executors": executors})
    with pytest.raises(ConfigurationError) as caught:
        ExecutorRegistry.from_settings(settings)
    return {fault.path: str(fault) for fault in caught.value.faults}


def test_precedence_from_the_default_up() -> None:
    """Each step adds what goes before all that was there."""
    overrides: dict[str, ExecutorType] = {}
    rules: tuple[PatternRule, ...] = ()
    mappings: dict[str, ExecutorType] = {}

    def assigned(kind: NodeType) -> tuple[ExecutorType, object, str]:
        registry = ExecutorRegistry(mappings, rules, WASM)
        found = registry.assign("a", kind, overrides)
        return found.executor_type, found.assignment_reason, str(found.assignment_reason)

    assert assigned(SILENT) == (WASM, Default(), "default")
    declared = ExplicitMapping(MappingSource.DECLARATION)
    assert assigned(DECLARING) == (NATIVE, declared, "explicit mapping (declaration)")
    rules = (PatternRule("Decl", MULTIPROCESS, 1),)
    assert assigned(DECLARING) == (MULTIPROCESS, PatternMatch("Decl"), "pattern match (Decl)")
    rules = (*rules, PatternRule("ing", NATIVE, 2))
    assert assigned(DECLARING)[:2] == (NATIVE, PatternMatch("ing"))
    mappings = {"DeclaringNode": MULTIPROCESS}
    configured = ExplicitMapping(MappingSource.CONFIGURATION)
    assert assigned(DECLARING) == (MULTIPROCESS, configured, "explicit mapping (configuration)")
    overrides = {"DeclaringNode": NATIVE}
    manifest = ExplicitMapping(MappingSource.MANIFEST)
    assert assigned(DECLARING) == (NATIVE, manifest, "explicit mapping (manifest)")
    overrides["a"] = MULTIPROCESS
    assert assigned(DECLARING)[:2] == (MULTIPROCESS, manifest)


def test_python_nodes_run_in_processes_unless_someone_says_otherwise() -> None:
    found = ExecutorRegistry.from_settings(Settings()).assign("a", SILENT, {})
    assert (found.executor_type, found.assignment_reason) == (MULTIPROCESS, Default())


def test_a_registry_can_not_be_changed() -> None:
    mappings = {"T": NATIVE}
    registry = ExecutorRegistry(mappings)
    mappings["U"] = NATIVE
    assert dict(registry.node_type_mappings) == {"T": NATIVE}
    with pytest.raises(TypeError):
        registry.node_type_mappings["U"] = NATIVE  # type: ignore[index]  # what must fail
    with pytest.raises(dataclasses.FrozenInstanceError):
        registry.default_executor = NATIVE  # type: ignore[misc]  # what must fail


def test_the_creation_time_is_kept() -> None:
    before = datetime.now(UTC)
    assert before <= ExecutorRegistry().created_at <= datetime.now(UTC)


def test_a_type_mapped_twice_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"executors\.mappings\.T: is mapped more"):
        ExecutorRegistry.from_pairs([("T", NATIVE), ("U", NATIVE), ("T", NATIVE)])
    assert len(ExecutorRegistry.from_pairs([("T", NATIVE), ("U", NATIVE)]).node_type_mappings) == 2


def test_what_is_no_executor_is_refused() -> None:
    wrong: Any = "fast"
    with pytest.raises(ConfigurationError) as caught:
        ExecutorRegistry({"T": wrong, "": NATIVE}, (), wrong)
    assert {fault.path for fault in caught.value.faults} == {
        "executors.mappings",
        "executors.mappings.T",
        "executors.default",
    }


def test_priorities_are_unique_and_patterns_compile() -> None:
    found = faults(
        patterns=[
            {"pattern": "(", "executor": "native", "priority": 1},
            {"pattern": "a", "executor": "native", "priority": 2},
            {"suffix": "(", "executor": "wasm", "priority": 2},
            {"pattern": "(?=a)", "executor": "native", "priority": 3},
        ]
    )
    assert set(found) == {
        "executors.patterns[0].pattern",
        "executors.patterns[3].pattern",
        "executors.patterns",
    }
    assert "missing )" in found["executors.patterns[0].pattern"]
    assert "same priority" in found["executors.patterns"]


@pytest.mark.parametrize("priority", [-1, 1 << 32])
def test_a_priority_is_an_unsigned_32_bit_number(priority: int) -> None:
    with pytest.raises(ConfigurationError, match="priority"):
        PatternRule("a", NATIVE, priority)


@given(st.text(), st.text())
def test_a_suffix_is_taken_by_the_letter(suffix: str, start: str) -> None:
    rule = PatternRule.suffix(suffix, NATIVE, 0)
    assert rule.matches(start + suffix)
    assert rule.matches(start) == start.endswith(suffix)


@given(st.text(alphabet=st.characters()) | st.text("()[]{}?*+|\\^$a", max_size=12))
def test_any_pattern_compiles_or_is_refused(pattern: str) -> None:
    try:
        rule = PatternRule(pattern, NATIVE, 0)
    except ConfigurationError:
        return
    assert isinstance(rule.matches("aNode"), bool)


def test_a_pattern_takes_linear_time() -> None:
    """Exponential where a pattern is tried by backtracking: it would run into the limit."""
    assert not PatternRule("(a+)+$", NATIVE, 0).matches("a" * 50_000 + "b")
