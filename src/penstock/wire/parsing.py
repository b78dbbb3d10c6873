"""Bytes as messages; those that can't be are no exception, which gRPC would take for ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError, Message

from penstock.wire.parts import MOST_PARTS, has_too_many_parts


@dataclass(frozen=True, slots=True)
class Malformed:
    """What a deserializer gives for bytes that are no ``wanted``; ``why`` may be said."""

    wanted: str
    why: str = ""

    def __str__(self) -> str:
        return f"the bytes that came are no {self.wanted}{self.why}"


def parsing(
    wanted: type[Message],
    read: Callable[[bytes], Any] | None = None,
    largest: int | None = None,
) -> Callable[[bytes], Any]:
    """A deserializer that never raises; it reads as ``read`` does, or gives the message.

    It takes none with more than ``MOST_PARTS``, or ``largest`` bytes (None: any number).
    """
    read = read or wanted.FromString
    name = wanted.DESCRIPTOR.full_name

    def parse(data: bytes) -> Any:
        if largest is not None and len(data) > largest:
            return Malformed(name, f" of at most {largest} bytes, but {len(data)}")
        if has_too_many_parts(data, wanted):
            return Malformed(name, f" of at most {MOST_PARTS} parts")
        try:
            return read(data)
        except DecodeError:
            return Malformed(name)

    return parse
