"""JSON on its way through a service, which has no use for what it says: it stays its text.

To parse a text of 16 MiB, and to write it again, takes seconds, in which Python does nothing else
on any thread. To see whether it is JSON takes a hundredth of that.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

import msgspec

from penstock.data import PARSED_BYTES, Json
from penstock.errors import ResourceLimitError
from penstock.wire.v1 import common_pb2 as pb

_DIGITS = b"0123456789"
_LONG_RUN = 2048
"""Of twice as many digits in a row, a whole block that begins at a multiple of it is nothing else;
Python reads integers with up to 4300."""
_BEFORE_NUMBERS = b"[:,- \t\n\r"


class JsonTexts:
    """Takes the JSON of one message as ``msgspec.Raw``, each text with at most ``largest`` bytes.

    Up to ``PARSED_BYTES`` of one message are parsed to see whether they are JSON. Of what comes
    beyond that only the grammar is checked: a number there may be more than a float holds, and is
    infinite to a node.
    """

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._left = PARSED_BYTES

    def read(self, message: pb.JsonData, metadata: Mapping[str, str]) -> Json:
        """Raises ``ValueError`` or ``RecursionError`` for what is no JSON.

        A text that is too long is a ``ResourceLimitError``, whatever it says.
        """
        text = message.json_payload
        data = b"" if len(text) > self._largest else text.encode()
        size = len(data) or len(text)
        if size > self._largest:
            limit = self._largest
            raise ResourceLimitError("max_message_bytes", wished=size, free=limit, limit=limit)
        self._left -= size
        if self._left >= 0:
            parse_json(text)
        else:
            _check_grammar(data)
        return Json(msgspec.Raw(data), message.schema_type, metadata)


def read_json(message: pb.JsonData, metadata: Mapping[str, str]) -> Json:
    """The value, parsed; raises as ``JsonTexts.read`` does, whatever its length."""
    return Json(parse_json(message.json_payload), message.schema_type, metadata)


def parse_json(text: str) -> Any:
    """Raises ``ValueError`` for what is no JSON, NaN and numbers that no float holds among it."""
    try:
        return _json.decode(text)
    except json.JSONDecodeError as exc:
        raise ValueError(f"json_payload: {exc}") from exc


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"json_payload: {text[:40]} is too large a number")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"json_payload: {name} is no JSON")


_json = json.JSONDecoder(parse_float=_finite, parse_constant=_refuse_constant)


def _check_grammar(data: bytes) -> None:
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except msgspec.DecodeError as exc:
        raise ValueError(f"json_payload: {exc}") from exc
    if _has_endless_number(data):
        raise ValueError("json_payload: a number has more digits than can be read")


def _has_endless_number(data: bytes) -> bool:
    """Whether there may be a number that no process could read; a string may look like one."""
    for at in range(0, len(data) - _LONG_RUN + 1, _LONG_RUN):
        if data[at : at + _LONG_RUN].isdigit():
            before = data[max(at - _LONG_RUN, 0) : at].rstrip(_DIGITS)
            if not at or (before and before[-1] in _BEFORE_NUMBERS):
                return True
    return False
