"""What may be sent into a session. Pure."""

from __future__ import annotations

from penstock.data import VALUE_TYPES, Message, Value
from penstock.errors import InputError, InvalidValueError
from penstock.executors.calling import VALUE_NAMES

_MAX_SEQUENCE = (1 << 64) - 1
_MAX_TIMESTAMP_US = 1 << 63


def input_message(
    value: Value, sequence: int, timestamp_us: int, epoch: int, entered_ns: int = 0
) -> Message:
    """An input on its way; raises ``InputError`` where it can't be one.

    ``entered_ns`` is left out for a value that somebody publishes in between.
    """
    if type(value) not in VALUE_TYPES:
        raise InvalidValueError(f"expected one of {VALUE_NAMES}, got {type(value).__name__}")
    if not (isinstance(sequence, int) and 0 <= sequence <= _MAX_SEQUENCE):
        raise InputError(f"sequence must be 0 to 2⁶⁴ - 1, got {sequence}")
    if not (isinstance(timestamp_us, int) and abs(timestamp_us) < _MAX_TIMESTAMP_US):
        raise InputError(f"timestamp_us must be whole and below 2⁶³, got {timestamp_us}")
    return Message(value, sequence, 0, timestamp_us, epoch, entered_ns=entered_ns)
