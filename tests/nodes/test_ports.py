"""Ports: which kinds a node takes and gives, read from its signatures."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from penstock.data import Audio, Json, Kind, Text, Value
from penstock.nodes.ports import ALL_KINDS, accepted_kinds, emitted_kinds


def one(self: object, item: Audio) -> Text: ...  # type: ignore[empty-body]  # only its types
def union(self: object, item: Audio | Json) -> Audio | None: ...
def several(self: object, item: Text) -> Iterator[Audio | Json]: ...  # type: ignore[empty-body]
def listed(self: object, item: Text) -> list[Text] | None: ...
def pair(self: object, item: Text) -> tuple[Text, Json]: ...  # type: ignore[empty-body]
def row(self: object, item: Text) -> tuple[Audio | Json, ...]: ...  # type: ignore[empty-body]
async def many(self: object, item: Text) -> AsyncIterator[Json]: ...  # type: ignore[empty-body]
def everything(self: object, item: Value) -> Value: ...  # type: ignore[empty-body]
def whatever(self: object, item: Any) -> Any: ...
def bare(self, item): ...  # type: ignore[no-untyped-def]  # an author may leave types out
def nothing(self: object, item: Text) -> None: ...


@pytest.mark.parametrize(
    ("method", "accepts", "emits"),
    [
        (one, {Kind.AUDIO}, {Kind.TEXT}),
        (union, {Kind.AUDIO, Kind.JSON}, {Kind.AUDIO}),
        (several, {Kind.TEXT}, {Kind.AUDIO, Kind.JSON}),
        (listed, {Kind.TEXT}, {Kind.TEXT}),
        (pair, {Kind.TEXT}, {Kind.TEXT, Kind.JSON}),
        (row, {Kind.TEXT}, {Kind.AUDIO, Kind.JSON}),
        (many, {Kind.TEXT}, {Kind.JSON}),
        (everything, ALL_KINDS, ALL_KINDS),
        (whatever, ALL_KINDS, ALL_KINDS),
        (bare, ALL_KINDS, ALL_KINDS),
        (nothing, {Kind.TEXT}, set()),
    ],
)
def test_kinds(method: Callable[..., Any], accepts: set[Kind], emits: set[Kind]) -> None:
    assert accepted_kinds(method) == accepts
    assert emitted_kinds(method) == emits


def wrong(self: object, item: int) -> str: ...  # type: ignore[empty-body]  # only its types


@pytest.mark.parametrize("read", [accepted_kinds, emitted_kinds])
def test_what_is_no_value_is_refused(read: Callable[[Any], frozenset[Kind]]) -> None:
    with pytest.raises(TypeError, match=r"wrong: .* is no kind of data; expected Audio"):
        read(wrong)


def test_an_item_is_needed() -> None:
    def process(self: object) -> Text: ...  # type: ignore[empty-body]  # only its types

    with pytest.raises(TypeError, match=r"expected \(self, item\), got \(self\)$"):
        accepted_kinds(process)


def test_no_more_than_an_item_is_given() -> None:
    def process(self: object, sound: Audio, words: Text) -> None: ...
    def named(self: object, *, item: Text) -> None: ...
    def optional(self: object, item: Text, more: int = 1) -> None: ...

    with pytest.raises(TypeError, match=r"got \(self, sound, words\); a Join has several inputs"):
        accepted_kinds(process)
    with pytest.raises(TypeError, match=r"expected \(self, item\), got \(self, \*, item\)"):
        accepted_kinds(named)
    assert accepted_kinds(optional) == {Kind.TEXT}
