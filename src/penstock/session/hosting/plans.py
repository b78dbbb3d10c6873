"""Plans as messages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from penstock.manifest import ManifestConfiguration
from penstock.planning import (
    Edge,
    ExecutionStage,
    NodeExecutionPlan,
    NodeExecutorAssignment,
)


class _Plan(msgspec.Struct, frozen=True):
    """The fields of a ``NodeExecutionPlan`` that it is made of."""

    stages: tuple[ExecutionStage, ...]
    dependency_graph: dict[str, tuple[str, ...]]
    estimated_duration_ms: int
    edges: tuple[Edge, ...]
    assignments: tuple[NodeExecutorAssignment, ...]
    configuration: ManifestConfiguration


def encode_plan(plan: NodeExecutionPlan) -> bytes:
    fields = {name: getattr(plan, name) for name in _Plan.__struct_fields__}
    return _encoder.encode(fields)


def decode_plan(data: bytes) -> NodeExecutionPlan:
    parts = _decoder.decode(data)
    return NodeExecutionPlan(**{name: getattr(parts, name) for name in _Plan.__struct_fields__})


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise NotImplementedError(f"{type(value).__name__} in a plan")


def _rich(kind: type, value: Any) -> Any:
    return Path(value) if kind is Path else MappingProxyType(value)


_encoder = msgspec.msgpack.Encoder(enc_hook=_plain)
_decoder = msgspec.msgpack.Decoder(_Plan, dec_hook=_rich)
