"""Arithmetic on JSON."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, TypeAlias

from penstock.data import ExecutorType, Json, replace
from penstock.nodes.base import Node, node

Number: TypeAlias = int | float
LARGEST = 1.7976931348623157e308
"""The largest double: what any reader of JSON can hold."""


@node("CalculatorNode", executor=ExecutorType.NATIVE)
class Calculator(Node):
    """Work out `{"operation": …, "operands": [a, b]}` and add the `result`.

    Operations: `add`, `subtract`, `multiply`, `divide` (6 / 3 is 2.0), `power`, and `modulo`
    with the sign of the divisor. Integers stay exact up to 1.8 × 10³⁰⁸; every other key of the
    object stays. A `ValueError` says what was found and what was expected: an unknown
    operation, operands that aren't two finite numbers, a division by zero, or a result that is
    complex or larger than a double.
    """

    blocking = False

    def process(self, item: Json) -> Json:
        return replace(item, value=calculate(item.value))


def calculate(request: Any) -> dict[str, Any]:
    """The request with its ``result``; raises ``ValueError`` where there is none."""
    if not isinstance(request, dict):
        raise ValueError(f"expected an object, got {_shown(request)}")  # noqa: TRY004  # input data
    name = request.get("operation")
    operate = _OPERATIONS.get(name) if isinstance(name, str) else None
    if operate is None:
        raise ValueError(f"operation: expected one of {', '.join(_OPERATIONS)}, got {_shown(name)}")
    left, right = _operands(request.get("operands"))
    try:
        result = operate(left, right)
    except ZeroDivisionError as exc:
        raise ValueError(f"{name} of {_shown(left)} and {_shown(right)}: division by zero") from exc
    except OverflowError as exc:
        raise _too_large(name, left, right) from exc
    if not _fits(result):
        raise _too_large(name, left, right)
    return {**request, "result": result}


def _operands(operands: Any) -> tuple[Number, Number]:
    if not isinstance(operands, list) or len(operands) != 2:
        raise ValueError(f"operands: expected two numbers, got {_shown(operands)}")
    for index, operand in enumerate(operands):
        number = isinstance(operand, int | float) and not isinstance(operand, bool)
        if not number or not _fits(operand):
            raise ValueError(
                f"operands[{index}]: expected a finite number up to 1.8e308, got {_shown(operand)}"
            )
    return operands[0], operands[1]


def _power(base: Number, exponent: Number) -> Any:
    """``base ** exponent``, refused before it is worked out where it can't fit."""
    if isinstance(base, int) and isinstance(exponent, int) and exponent > 0:
        digits = exponent * math.log2(abs(base)) if base else 0.0
        if digits > 1024:
            raise OverflowError
    if base < 0 and not float(exponent).is_integer():
        raise ValueError(f"power of {_shown(base)} and {_shown(exponent)}: the result is complex")
    return base**exponent


def _fits(number: Number) -> bool:
    return abs(number) <= LARGEST  # False for NaN


def _too_large(name: Any, left: Number, right: Number) -> ValueError:
    return ValueError(
        f"{name} of {_shown(left)} and {_shown(right)}: the result is larger than 1.8e308"
    )


def _shown(found: Any) -> str:
    """A short text for a message; a number of thousands of digits isn't written out."""
    if isinstance(found, int) and found.bit_length() > 128:
        return f"an integer of {found.bit_length()} bits"
    if isinstance(found, dict | list):
        return f"{'an object' if isinstance(found, dict) else 'a list'} of {len(found)}"
    text = repr(found)
    return text if len(text) <= 60 else f"{text[:60]}…"


_OPERATIONS: dict[str, Callable[[Number, Number], Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "power": _power,
    "modulo": operator.mod,
}
