"""What values take of memory while they wait."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from penstock.data import VALUE_BYTES, Audio, Json, Text, held_bytes

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


@given(PLAIN)
def test_json_takes_at_least_its_texts(value: Any) -> None:
    assert held_bytes(Json(value)) >= VALUE_BYTES + characters(value)


def test_json_may_be_nested_deeply_and_is_not_taken_for_nothing() -> None:
    nested: list[Any] = []
    for _ in range(10 * sys.getrecursionlimit()):
        nested = [nested]
    assert held_bytes(Json(nested)) > 10 * sys.getrecursionlimit()
    assert held_bytes(Json(list(range(100_000)))) > 1_000_000
