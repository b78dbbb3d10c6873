"""CalculatorNode: results, and clear refusals."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.data import Json
from penstock.nodes.builtin.calculator import Calculator, calculate
from penstock.testing import run_node


@pytest.mark.parametrize(
    ("operation", "operands", "result"),
    [
        ("add", [1, 2], 3),
        ("add", [0.5, 2], 2.5),
        ("subtract", [1, 2], -1),
        ("multiply", [10**20, 10**20], 10**40),
        ("divide", [6, 3], 2.0),
        ("power", [2, 10], 1024),
        ("power", [2, -1], 0.5),
        ("power", [-2.0, 3], -8.0),
        ("power", [0, 10**9], 0),
        ("power", [-1, 10**300], 1),
        ("power", [1, 10**300], 1),
        ("power", [2, 1023], 2**1023),
        ("modulo", [-7, 3], 2),
        ("modulo", [7.5, 2], 1.5),
    ],
)
async def test_results(operation: str, operands: list[float], result: float) -> None:
    request = {"operation": operation, "operands": operands, "id": 7}
    (output,) = await run_node(Calculator, [Json(request, "calculation", {"k": "v"})])
    assert output == Json({**request, "result": result}, "calculation", {"k": "v"})


@pytest.mark.parametrize(
    ("request_value", "message"),
    [
        ([1, 2], "expected an object, got a list of 2"),
        ({}, "operation: expected one of add, .*, got None"),
        ({"operation": "sqrt", "operands": [1, 2]}, "got 'sqrt'"),
        ({"operation": ["add"], "operands": [1, 2]}, "got a list of 1"),
        ({"operation": "add"}, "operands: expected two numbers, got None"),
        ({"operation": "add", "operands": [1]}, "expected two numbers, got a list of 1"),
        ({"operation": "add", "operands": [1, "2"]}, r"operands\[1\]: .* got '2'"),
        ({"operation": "add", "operands": [True, 2]}, r"operands\[0\]: .* got True"),
        ({"operation": "add", "operands": [math.nan, 2]}, r"operands\[0\]: .* got nan"),
        ({"operation": "add", "operands": [10**400, 2]}, "got an integer of 1329 bits"),
        ({"operation": "divide", "operands": [1, 0]}, "divide of 1 and 0: division by zero"),
        ({"operation": "modulo", "operands": [1, 0.0]}, "division by zero"),
        ({"operation": "power", "operands": [0, -1]}, "division by zero"),
        ({"operation": "power", "operands": [-8, 0.5]}, "the result is complex"),
        ({"operation": "power", "operands": [10, 10**18]}, "larger than 1.8e308"),
        ({"operation": "power", "operands": [10.0, 400]}, "larger than 1.8e308"),
        ({"operation": "power", "operands": [2, 1024]}, "larger than 1.8e308"),
        ({"operation": "multiply", "operands": [1e308, 10]}, "larger than 1.8e308"),
    ],
)
async def test_refusals_say_what_was_found(request_value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        await run_node(Calculator, [Json(request_value)])


NUMBERS = st.integers() | st.integers(-(10**400), 10**400) | st.floats() | st.booleans()
OPERATIONS = st.sampled_from(["add", "subtract", "multiply", "divide", "power", "modulo"])


@given(OPERATIONS, NUMBERS, NUMBERS)
def test_any_numbers_give_json_or_a_value_error(operation: str, left: float, right: float) -> None:
    try:
        answer = calculate({"operation": operation, "operands": [left, right]})
    except ValueError:
        return
    json.dumps(answer, allow_nan=False)
    float(answer["result"])
