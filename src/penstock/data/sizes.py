"""What a value takes of memory while it waits in a queue."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import msgspec

from penstock.data.payloads import payload_bytes
from penstock.data.values import Audio, Binary, Control, Json, Tensor, Text, Value

VALUE_BYTES = 512
"""What a value takes besides its payload, so that small ones are bounded too."""

_SAID: dict[type, Callable[[Any], int]] = {
    Audio: lambda audio: len(audio.metadata_json or b""),
    Tensor: lambda tensor: len(tensor.layout),
    Text: lambda text: len(text.language) + len(text.channel),
    Json: lambda json: len(json.schema_type),
    Binary: lambda binary: len(binary.mime_type),
    Control: lambda control: len(control.segment_id) + len(control.message_metadata),
}
"""What is said of a value, by kind: as long as who made it likes."""


def held_bytes(value: Value) -> int:
    """Its payload, what is said of it, its metadata, and ``VALUE_BYTES``.

    Queues, what a stream is read ahead, what waits for taps and what one call gathers are bounded
    in these. A parsed JSON value takes one walk over its parts.
    """
    if isinstance(value, Json) and not isinstance(value.value, msgspec.Raw):
        size = _json_bytes(value.value)
    else:
        size = payload_bytes(value)
    said = _SAID.get(type(value))
    if said is not None:
        size += said(value)
    metadata = value.metadata
    if metadata:
        size += sum(len(key) + len(text) for key, text in metadata.items())
    return VALUE_BYTES + size


def _json_bytes(value: Any) -> int:
    """One walk over it, without recursion: it may be nested deeply."""
    size, left = 0, [value]
    while left:
        part = left.pop()
        size += sys.getsizeof(part)
        if isinstance(part, dict):
            left.extend(part)
            left.extend(part.values())
        elif isinstance(part, list | tuple):
            left.extend(part)
    return size
