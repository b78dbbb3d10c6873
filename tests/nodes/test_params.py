"""Parameters: strict, and in either spelling."""

from __future__ import annotations

import pytest
from pydantic import Field, ValidationError

from penstock.nodes import NodeParams


class Params(NodeParams):
    """For the tests."""

    chunk_size: int = Field(4, ge=1, description="samples")
    gain: float = 0.0


def test_both_spellings_mean_the_same() -> None:
    assert Params.model_validate({"chunkSize": 7}) == Params.model_validate({"chunk_size": 7})


@pytest.mark.parametrize(
    "wrong", [{"chunksize": 7}, {"gain": float("nan")}, {"gain": float("inf")}, {"chunk_size": 0}]
)
def test_what_is_unknown_or_out_of_bounds_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Params.model_validate(wrong)


def test_parameters_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Params().gain = 1.0  # type: ignore[misc]  # that is the point
