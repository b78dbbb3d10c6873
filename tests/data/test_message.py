"""A message is what it was made of, and nothing that it can't be."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.data import CLIENT, Message, Text

MESSAGE = Message(Text("x"), 2**64 - 1, 2, -3, 4, "n", 5)


def test_it_says_what_it_is() -> None:
    assert repr(Message(Text("x"), 1)) == (
        f"Message(value={Text('x')!r}, sequence=1, part=0, timestamp_us=0, epoch=0, "
        f"origin={CLIENT!r}, entered_ns=0)"
    )
    assert Message(Text("x"), 2**64 - 1, 2, -3, 4, "n", 5) == MESSAGE
    assert Message(Text("y"), 2**64 - 1, 2, -3, 4, "n", 5) != MESSAGE


def test_some_of_it_is_replaced() -> None:
    changed = MESSAGE.replace(value=Text("y"), epoch=9)
    assert changed == Message(Text("y"), 2**64 - 1, 2, -3, 9, "n", 5)
    assert MESSAGE.epoch == 4
    with pytest.raises(TypeError, match="colour"):
        MESSAGE.replace(colour=1)


@pytest.mark.parametrize(
    "wrong", [{"sequence": -1}, {"sequence": 2**64}, {"part": -1}, {"timestamp_us": 2**63}]
)
def test_a_number_that_no_message_has_makes_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(OverflowError):
        Message(Text("x"), **wrong)


def test_nobody_changes_one() -> None:
    with pytest.raises(AttributeError):
        MESSAGE.sequence = 1  # type: ignore[misc]  # which it must not
