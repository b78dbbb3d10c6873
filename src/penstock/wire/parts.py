"""How many parts a message has, known before protobuf makes something of each.

Messages are bounded in bytes, and two bytes are enough for a field: one of the largest may have
millions, each of which takes a microsecond and a hundred bytes, wherever it is looked at.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, TypeAlias

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

UNCOUNTED_BYTES = 128 << 10
"""Messages of fewer bytes are let pass: they can't have very many parts."""
MOST_PARTS = 1 << 15
"""Fields of a message and of all messages in it, and numbers in its lists."""
_VARINT, _LENGTH = 0, 2
_FIXED = {1: 8, 5: 4}
"""Types of fields on the wire, and the bytes of those that have always as many."""
_LONGEST_SHIFT = 63
_Kind: TypeAlias = Any
"""A message's descriptor, whichever of protobuf's it is."""
_NO_NUMBERS = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES)


class _NoFieldError(Exception):
    """Here protobuf stops reading, too."""


class _GroupError(Exception):
    """A field without a length, of the sort that none of our messages has."""


def has_too_many_parts(data: bytes, kind: type[Message]) -> bool:
    """Whether the bytes of a message of that kind have more than ``MOST_PARTS``, or groups.

    What is no message is for protobuf to refuse.
    """
    if len(data) < UNCOUNTED_BYTES:
        return False
    counting = _Counting(data)
    try:
        counting.look(0, len(data), kind.DESCRIPTOR)
    except (IndexError, _NoFieldError):
        return counting.left < 0
    except _GroupError:
        return True
    return counting.left < 0


class _Counting:
    """Goes through a message in protobuf's own order, until ``left`` is below 0."""

    def __init__(self, data: bytes) -> None:
        self.left = MOST_PARTS
        self._data = data

    def look(self, at: int, end: int, kind: _Kind) -> None:
        """At the fields of one message, and of those in it."""
        inner, lists = _messages_in(kind), _lists_in(kind)
        while at < end and self.left >= 0:
            self.left -= 1
            tag, start = self._number(at)
            number, wire_type = tag >> 3, tag & 7
            start, at = self._content(wire_type, start)
            if at > end:
                raise _NoFieldError
            if wire_type == _LENGTH and number in inner:
                self.look(start, at, inner[number])
            elif wire_type == _LENGTH and number in lists:
                self.left -= at - start

    def _content(self, wire_type: int, at: int) -> tuple[int, int]:
        """Where a field's content begins, and where it ends."""
        if wire_type == _LENGTH:
            length, at = self._number(at)
            return at, at + length
        if wire_type == _VARINT:
            return at, self._number(at)[1]
        if wire_type not in _FIXED:
            raise _GroupError
        return at, at + _FIXED[wire_type]

    def _number(self, at: int) -> tuple[int, int]:
        """A varint, and where it ends."""
        number = shift = 0
        while shift <= _LONGEST_SHIFT:
            byte = self._data[at]
            at += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number, at
            shift += 7
        raise _NoFieldError


@functools.cache
def _messages_in(kind: _Kind) -> Mapping[int, _Kind]:
    """The fields of a message that are messages, and what those are."""
    return {field.number: field.message_type for field in kind.fields if field.message_type}


@functools.cache
def _lists_in(kind: _Kind) -> frozenset[int]:
    """The fields that are lists of numbers, which may come as one."""
    return frozenset(
        field.number
        for field in kind.fields
        if field.is_repeated and not field.message_type and field.type not in _NO_NUMBERS
    )
