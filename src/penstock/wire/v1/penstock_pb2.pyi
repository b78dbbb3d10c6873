from . import common_pb2 as _common_pb2
from . import execution_pb2 as _execution_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PlanRequest(_message.Message):
    __slots__ = ("manifest", "client_version")
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    CLIENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    manifest: _execution_pb2.PipelineManifest
    client_version: str
    def __init__(self, manifest: _Optional[_Union[_execution_pb2.PipelineManifest, _Mapping[str, object]]] = ..., client_version: _Optional[str] = ...) -> None: ...

class PlanResponse(_message.Message):
    __slots__ = ("plan", "error")
    PLAN_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    plan: Plan
    error: _common_pb2.ErrorResponse
    def __init__(self, plan: _Optional[_Union[Plan, _Mapping[str, object]]] = ..., error: _Optional[_Union[_common_pb2.ErrorResponse, _Mapping[str, object]]] = ...) -> None: ...

class Plan(_message.Message):
    __slots__ = ("stages", "edges", "resources", "estimated_duration_ms", "shortage")
    STAGES_FIELD_NUMBER: _ClassVar[int]
    EDGES_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    SHORTAGE_FIELD_NUMBER: _ClassVar[int]
    stages: _containers.RepeatedCompositeFieldContainer[PlannedStage]
    edges: _containers.RepeatedCompositeFieldContainer[PlannedEdge]
    resources: _containers.RepeatedCompositeFieldContainer[PlannedResource]
    estimated_duration_ms: int
    shortage: str
    def __init__(self, stages: _Optional[_Iterable[_Union[PlannedStage, _Mapping[str, object]]]] = ..., edges: _Optional[_Iterable[_Union[PlannedEdge, _Mapping[str, object]]]] = ..., resources: _Optional[_Iterable[_Union[PlannedResource, _Mapping[str, object]]]] = ..., estimated_duration_ms: _Optional[int] = ..., shortage: _Optional[str] = ...) -> None: ...

class PlannedStage(_message.Message):
    __slots__ = ("nodes",)
    NODES_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[PlannedNode]
    def __init__(self, nodes: _Optional[_Iterable[_Union[PlannedNode, _Mapping[str, object]]]] = ...) -> None: ...

class PlannedNode(_message.Message):
    __slots__ = ("node_id", "node_type", "executor", "reason")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_TYPE_FIELD_NUMBER: _ClassVar[int]
    EXECUTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    node_type: str
    executor: str
    reason: str
    def __init__(self, node_id: _Optional[str] = ..., node_type: _Optional[str] = ..., executor: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class PlannedEdge(_message.Message):
    __slots__ = ("to", "strategy")
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    to: str
    strategy: str
    def __init__(self, to: _Optional[str] = ..., strategy: _Optional[str] = ..., **kwargs: object) -> None: ...

class PlannedResource(_message.Message):
    __slots__ = ("name", "cost", "limit", "free")
    NAME_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    FREE_FIELD_NUMBER: _ClassVar[int]
    name: str
    cost: int
    limit: int
    free: int
    def __init__(self, name: _Optional[str] = ..., cost: _Optional[int] = ..., limit: _Optional[int] = ..., free: _Optional[int] = ...) -> None: ...
