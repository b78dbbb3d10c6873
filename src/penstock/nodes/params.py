"""A node's parameters: a pydantic model, strict, in snake_case or camelCase."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

NODE_ID = "the ID of a node of the same manifest"
"""Annotates a parameter that names another node, which is checked before anything starts:
``Annotated[str | None, NODE_ID]``."""


class NodeParams(BaseModel):
    """The base of every node's ``Params``; a node without parameters uses it as it is.

    Unknown keys, NaN and infinities are refused; ``chunkSize`` means ``chunk_size``.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        allow_inf_nan=False,
    )
