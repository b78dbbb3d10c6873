"""A client by hand that doesn't let a single byte of an answer come."""

from __future__ import annotations

import struct
from typing import Any

from bench.rpc.http2 import DATA, PREFACE, SETTINGS, frame

_INITIAL_WINDOW = 4
CLOSED_HELLO = PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", _INITIAL_WINDOW, 0))


def unended(message: Any) -> bytes:
    """The frame of a message on stream 1, behind which more may come."""
    content = message.SerializeToString()
    return frame(DATA, 0, 1, struct.pack(">BI", 0, len(content)) + content)
