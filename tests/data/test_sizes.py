"""What values take of memory while they wait."""

from __future__ import annotations

import json
import sys
import tracemalloc
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.data import (
    VALUE_BYTES,
    Audio,
    BatchHint,
    Binary,
    Control,
    Json,
    Tensor,
    Text,
    Value,
    held_bytes,
    payload_bytes,
)

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


def characters(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(len(key) + characters(part) for key, part in value.items())
    return sum(map(characters, value)) if isinstance(value, list) else 0


def test_a_payload_its_metadata_and_what_every_value_takes() -> None:
    assert held_bytes(Text("four")) == VALUE_BYTES + 4
    assert held_bytes(Text("four", metadata={"key": "value"})) == VALUE_BYTES + 12
    sound = Audio(np.zeros((100, 1), dtype=np.float32), 16_000)
    assert held_bytes(sound) == VALUE_BYTES + 400


@pytest.mark.parametrize(
    "value",
    [
        Audio(np.zeros(0, np.int16), 8_000, metadata_json=b"x" * 1000),
        Tensor(np.zeros(0), layout="x" * 1000),
        Text("", language="x" * 400, channel="x" * 600),
        Json(msgspec.Raw(b""), schema_type="x" * 1000),
        Binary.from_bytes(b"", "x" * 1000),
        Control(BatchHint(0), segment_id="x" * 400, message_metadata="x" * 600),
    ],
    ids=lambda value: value.kind,
)
def test_what_is_said_of_a_value_counts(value: Value) -> None:
    assert held_bytes(value) == VALUE_BYTES + 1000


def test_json_that_nobody_has_parsed_is_its_text() -> None:
    value = Json(msgspec.Raw(b"[1,2]"))
    assert held_bytes(value) == VALUE_BYTES + 5
    assert payload_bytes(value) == 5


@pytest.mark.parametrize("part", ["{}", "[]", "1", "1.5", '"abc"', '{"a":1}', "[[]]", "[{}]"])
def test_json_takes_no_more_than_is_said(part: str) -> None:
    text = f"[{','.join([part] * 10_000)}]"
    tracemalloc.start()
    value = json.loads(text)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken <= held_bytes(Json(value))


@given(PLAIN)
def test_json_takes_at_least_its_texts(value: Any) -> None:
    assert held_bytes(Json(value)) >= VALUE_BYTES + characters(value)


def test_json_may_be_nested_deeply_and_is_not_taken_for_nothing() -> None:
    nested: list[Any] = []
    for _ in range(10 * sys.getrecursionlimit()):
        nested = [nested]
    assert held_bytes(Json(nested)) > 10 * sys.getrecursionlimit()
    assert held_bytes(Json(list(range(100_000)))) > 1_000_000
