"""Bytes as messages; those that are none are no exception, which gRPC would take for ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from google.protobuf.message import DecodeError, Message


@dataclass(frozen=True, slots=True)
class Malformed:
    """What a deserializer gives for bytes that are no ``wanted``."""

    wanted: str

    def __str__(self) -> str:
        return f"the bytes that came are no {self.wanted}"


def parsing(wanted: type[Message]) -> Callable[[bytes], Message | Malformed]:
    """A deserializer that never raises."""

    def parse(data: bytes) -> Message | Malformed:
        try:
            return wanted.FromString(data)
        except DecodeError:
            return Malformed(wanted.DESCRIPTOR.full_name)

    return parse
