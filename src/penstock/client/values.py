"""What may be sent as it is: arrays, texts and bytes stand for the obvious values."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from penstock.data import Binary, Tensor, Text, Value
from penstock.errors import InvalidValueError
from penstock.executors.calling import is_value

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
