"""What may be sent as it is: arrays, texts and bytes stand for the obvious values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from penstock.data import Binary, Tensor, Text, Value
from penstock.errors import InputError, InvalidValueError
from penstock.executors.calling import is_value
from penstock.wire.buffers import encode_into
from penstock.wire.v1 import common_pb2 as pb

Sendable: TypeAlias = Value | str | bytes | NDArray[Any]
"""A value, or what stands for a ``Text``, ``Binary`` or ``Tensor``; sound needs a rate."""


def as_value(given: Sendable, where: str) -> Value:
    """The value; nothing is copied. Raises ``InvalidValueError`` for anything else."""
    if is_value(given):
        value: Any = given
        return value  # type: ignore[no-any-return]  # is_value has seen to it
    if isinstance(given, str):
        return Text(given)
    if isinstance(given, bytes):
        return Binary.from_bytes(given)
    if isinstance(given, np.ndarray):
        try:
            return Tensor(given)
        except ValueError as exc:
            raise InvalidValueError(f"{where}: {exc}") from exc
    raise InvalidValueError(
        f"{where}: a node takes one value, str, bytes or array, got {type(given).__name__}"
    )


def write_values(
    buffers: Mapping[str, pb.DataBuffer], values: Mapping[str, Sendable], where: str
) -> None:
    """Write values by the IDs of their nodes; raises ``InputError`` for what can't be sent."""
    for node_id, given in values.items():
        place = f"{where}[{node_id!r}]"
        value = as_value(given, place)
        try:
            buffer = buffers[node_id]  # a message's map makes it
        except (TypeError, ValueError) as exc:
            raise InputError(f"{place}: that ID can't be sent: {exc}") from exc
        encode_into(buffer, value)
