"""What a value takes of memory while it waits in a queue."""

from __future__ import annotations

from typing import Any

from penstock.data.values import Json, Value, payload_bytes

VALUE_BYTES = 512
"""What a value takes besides its payload, so that small ones are bounded too."""
_ELEMENT_BYTES = 32
"""About what a number, a key or a place in a list takes."""


def held_bytes(value: Value) -> int:
    """Its payload, its metadata and ``VALUE_BYTES``; a parsed JSON value's size is estimated."""
    payload = _json_bytes(value.value) if isinstance(value, Json) else payload_bytes(value)
    metadata = value.metadata
    if metadata:
        payload += sum(len(key) + len(said) for key, said in metadata.items())
    return VALUE_BYTES + payload


def _json_bytes(value: Any) -> int:
    """One walk over it, without recursion: it may be nested deeply."""
    size, left = 0, [value]
    while left:
        part = left.pop()
        size += _ELEMENT_BYTES
        if isinstance(part, str):
            size += len(part)
        elif isinstance(part, dict):
            left.extend(part)
            left.extend(part.values())
        elif isinstance(part, list | tuple):
            left.extend(part)
    return size
