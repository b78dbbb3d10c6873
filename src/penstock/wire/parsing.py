"""Bytes as messages; those that are none are no exception, which gRPC would take for ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError, Message


@dataclass(frozen=True, slots=True)
class Malformed:
    """What a deserializer gives for bytes that are no ``wanted``."""

    wanted: str

    def __str__(self) -> str:
        return f"the bytes that came are no {self.wanted}"


def parsing(
    wanted: type[Message], read: Callable[[bytes], Any] | None = None
) -> Callable[[bytes], Any]:
    """A deserializer that never raises; it reads as ``read`` does, or gives the message."""
    read = read or wanted.FromString

    def parse(data: bytes) -> Any:
        try:
            return read(data)
        except DecodeError:
            return Malformed(wanted.DESCRIPTOR.full_name)

    return parse
