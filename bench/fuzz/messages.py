"""Hypothesis strategies from the protocol's descriptors: any message, whole or spoilt."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

SESSION = "s" * 32
"""Stands for the ID of a session that is there, which is as long."""
DEPTH = 4
_MOST_FIELDS = 4
_F = FieldDescriptor
_WORDS = {
    "node_type": ("PassThrough", "EchoNode", "AudioChunkerNode", "CalculatorNode", "?"),
    "params": ("", "{}", '{"chunk_size": 1}', '{"chunk_size": -1}', "{", "[" * 60, '{"a": NaN}'),
    "version": ("v1", "1.0", "", "v2", "\0"),
    "client_version": ("", "v1", "v2", "1.0.0"),
    "json_payload": ("{}", "[1, 2]", '"a"', "[" * 3000, "NaN", "1e999", "{"),
    "dtype": ("<f4", ">i2", "O", "f16", "<U9", "c16", "?"),
    "encoding": ("", "utf-8", "utf-16-le", "rot13", "idna", "zip", "\0"),
    "drop_policy": ("newest", "oldest", "middle"),
    "python_executable": ("python", "/bin/sh", ""),
    "path": ("/etc/passwd", "a", "../a", "", "/dev/zero", "\0"),
    "service": ("", "remotemedia.v1.PipelineExecutionService", f"penstock.session/{SESSION}", "\0"),
    "session_id": (SESSION, SESSION, "", "nobody"),
    "port": ("", "main", "aux"),
}
"""What a field of that name is given, besides any text."""
_NODES = ("n0", "n1", "", "n9", "@client", "@host", "a" * 300, "\N{ROCKET}")
_INTEGERS = {
    _F.CPPTYPE_INT32: (-(1 << 31), (1 << 31) - 1),
    _F.CPPTYPE_INT64: (-(1 << 63), (1 << 63) - 1),
    _F.CPPTYPE_UINT32: (0, (1 << 32) - 1),
    _F.CPPTYPE_UINT64: (0, (1 << 64) - 1),
}


@functools.cache
def messages(descriptor: Descriptor, depth: int = DEPTH) -> st.SearchStrategy[Any]:
    """Any message of that kind; each of its fields is there or not."""
    fields = [field for field in descriptor.fields if depth > 0 or field.message_type is None]
    chosen = st.lists(st.sampled_from(fields), max_size=_MOST_FIELDS) if fields else st.just([])
    return _message(descriptor, depth, chosen)


@st.composite
def _message(
    draw: st.DrawFn,
    descriptor: Descriptor,
    depth: int,
    chosen: st.SearchStrategy[list[FieldDescriptor]],
) -> Message:
    values = {field.name: draw(_values(field, depth - 1)) for field in draw(chosen)}
    return GetMessageClass(descriptor)(**values)


@functools.cache
def _values(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if not field.is_repeated:
        return _single(field, depth)
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        key, value = entry.fields_by_name["key"], entry.fields_by_name["value"]
        keys = st.sampled_from(_NODES) if key.type == _F.TYPE_STRING else _single(key, depth)
        return st.dictionaries(keys, _single(value, depth), max_size=3)
    return st.lists(_single(field, depth), max_size=3)


def _single(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        return messages(field.message_type, depth)
    if field.enum_type is not None:
        known = [value.number for value in field.enum_type.values]
        return st.sampled_from((*known, *known, -1, 99, (1 << 31) - 1))
    if field.cpp_type in _INTEGERS:
        low, high = _INTEGERS[field.cpp_type]
        return st.one_of(st.integers(0, 5), st.sampled_from((low, high)), st.integers(low, high))
    return _plain(field)


def _plain(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.cpp_type == _F.CPPTYPE_BOOL:
        return st.booleans()
    if field.cpp_type in (_F.CPPTYPE_DOUBLE, _F.CPPTYPE_FLOAT):
        return st.one_of(st.sampled_from((0.0, 0.5, -1.0, 1e308)), st.floats())
    if field.type == _F.TYPE_BYTES:
        return st.one_of(st.binary(max_size=8), st.integers(0, 20_000).map(bytes))
    words = st.sampled_from(_WORDS.get(field.name, _NODES))
    return st.one_of(words, words, st.text(st.characters(codec="utf-8"), max_size=8))


def changed(message: Message) -> st.SearchStrategy[Message]:
    """The same with one field, at any depth, that is another."""
    places = [(holder, field) for holder in _holders(message) for field in holder.DESCRIPTOR.fields]
    return st.sampled_from(range(len(places))).flatmap(
        lambda number: _values(places[number][1], 1).map(_replacing(message, number))
    )


def _replacing(message: Message, number: int) -> Callable[[Any], Message]:
    def replaced(value: Any) -> Message:
        copy = type(message)()
        copy.CopyFrom(message)
        places = [(one, field) for one in _holders(copy) for field in one.DESCRIPTOR.fields]
        holder, field = places[number]
        holder.ClearField(field.name)
        holder.MergeFrom(type(holder)(**{field.name: value}))
        return copy

    return replaced


def _holders(message: Message) -> list[Message]:
    """The message, and all that are in it."""
    found = [message]
    for one in found:
        for field, value in one.ListFields():
            if field.message_type is None or field.message_type.GetOptions().map_entry:
                continue
            found += list(value) if field.is_repeated else [value]
    return found


def spoilt(data: bytes) -> st.SearchStrategy[bytes]:
    """Cut off, with bytes that are others, with a field that nobody knows, or no message at all."""
    places = st.integers(0, max(len(data) - 1, 0))
    return st.one_of(
        places.map(lambda at: data[:at]),
        st.tuples(places, st.binary(min_size=1, max_size=4)).map(
            lambda change: data[: change[0]] + change[1] + data[change[0] + len(change[1]) :]
        ),
        st.just(data + b"\xfa\xff\x7f\x03abc"),
        st.binary(max_size=200),
    )
