"""JSON that is only passed on stays its text, and is JSON all the same."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.data import PARSED_BYTES, Json
from penstock.errors import InvalidValueError, ResourceLimitError
from penstock.wire import json_texts
from penstock.wire.buffers import decode, encode
from penstock.wire.json_texts import JsonTexts
from penstock.wire.v1 import common_pb2 as pb

LARGEST = 1 << 20
PARTS = st.sampled_from(
    [
        *'[]{}:,"\\ \n\x01é',
        *("true", "null", "nul", "NaN", "-", "0", "1", "12", ".5", "e5", "E-7"),
        *('"a"', '"\\n"', '"\\u00e9"', '"\\x"', '"é"'),
    ]
)
TEXTS = st.lists(PARTS, max_size=12).map("".join)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=20,
).map(json.dumps)


def buffer(text: str) -> pb.DataBuffer:
    return pb.DataBuffer(json=pb.JsonData(json_payload=text, schema_type="s"), metadata={"a": "b"})


def taken(text: str, texts: JsonTexts | None = None) -> Any:
    return decode(buffer(text), "here", texts=texts or JsonTexts(LARGEST))


def is_json(text: str, **texts: Any) -> bool:
    try:
        decode(buffer(text), "here", **texts)
    except InvalidValueError:
        return False
    return True


def spent() -> JsonTexts:
    """Of a message of which as much has been parsed as may be."""
    texts = JsonTexts(LARGEST)
    texts.read(pb.JsonData(json_payload=" " * (PARSED_BYTES - 4) + "null"), {})
    return texts


@pytest.mark.parametrize("length", [5, PARSED_BYTES, PARSED_BYTES + 1, LARGEST])
def test_a_text_is_kept_as_it_came_and_goes_as_it_is(length: int) -> None:
    text = '["é"]'.ljust(length - 1)
    value = taken(text)
    assert value == Json(msgspec.Raw(text.encode()), "s", {"a": "b"})
    assert encode(value) == buffer(text)


@given(TEXTS | VALUES)
@example("[1" + "0" * 3000 + "]")
@example('["' + "0" * 10_000 + '"]')
@example("[0." + "0" * 10_000 + "]")
def test_beyond_what_is_parsed_the_same_is_json(text: str) -> None:
    assert is_json(text, texts=spent()) is is_json(text)


@pytest.mark.parametrize("text", ["9" * 5000, "[" + " " * 999 + "-" + "9" * 5000 + "]", '["\\ud8'])
@pytest.mark.parametrize("texts", [None, spent])
def test_what_nobody_could_read_is_refused(text: str, texts: Any) -> None:
    assert not is_json(text, texts=texts and texts())


def test_no_more_of_a_message_is_parsed_however_many_texts_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parsed: list[int] = []
    monkeypatch.setattr(json_texts, "parse_json", lambda text: parsed.append(len(text)))
    texts = JsonTexts(LARGEST)
    for _ in range(100):
        taken(f'"{4000 * "x"}"', texts)
    assert sum(parsed) <= PARSED_BYTES


@pytest.mark.parametrize("text", ["x" * (LARGEST + 1), "é" * (LARGEST // 2 + 1)])
def test_what_is_too_long_is_not_looked_at(text: str) -> None:
    with pytest.raises(ResourceLimitError, match="max_message_bytes"):
        taken(text)
