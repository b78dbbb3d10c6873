from . import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RuntimeHint(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RUNTIME_HINT_UNSPECIFIED: _ClassVar[RuntimeHint]
    RUNTIME_HINT_RUSTPYTHON: _ClassVar[RuntimeHint]
    RUNTIME_HINT_CPYTHON: _ClassVar[RuntimeHint]
    RUNTIME_HINT_CPYTHON_WASM: _ClassVar[RuntimeHint]
    RUNTIME_HINT_AUTO: _ClassVar[RuntimeHint]
RUNTIME_HINT_UNSPECIFIED: RuntimeHint
RUNTIME_HINT_RUSTPYTHON: RuntimeHint
RUNTIME_HINT_CPYTHON: RuntimeHint
RUNTIME_HINT_CPYTHON_WASM: RuntimeHint
RUNTIME_HINT_AUTO: RuntimeHint

class ExecuteRequest(_message.Message):
    __slots__ = ("manifest", "data_inputs", "resource_limits", "client_version")
    class DataInputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _common_pb2.DataBuffer
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_common_pb2.DataBuffer, _Mapping[str, object]]] = ...) -> None: ...
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    DATA_INPUTS_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_LIMITS_FIELD_NUMBER: _ClassVar[int]
    CLIENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    manifest: PipelineManifest
    data_inputs: _containers.MessageMap[str, _common_pb2.DataBuffer]
    resource_limits: _common_pb2.ResourceLimits
    client_version: str
    def __init__(self, manifest: _Optional[_Union[PipelineManifest, _Mapping[str, object]]] = ..., data_inputs: _Optional[_Mapping[str, _common_pb2.DataBuffer]] = ..., resource_limits: _Optional[_Union[_common_pb2.ResourceLimits, _Mapping[str, object]]] = ..., client_version: _Optional[str] = ...) -> None: ...

class ExecuteResponse(_message.Message):
    __slots__ = ("result", "error", "failed")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    result: ExecutionResult
    error: _common_pb2.ErrorResponse
    failed: ExecutionResult
    def __init__(self, result: _Optional[_Union[ExecutionResult, _Mapping[str, object]]] = ..., error: _Optional[_Union[_common_pb2.ErrorResponse, _Mapping[str, object]]] = ..., failed: _Optional[_Union[ExecutionResult, _Mapping[str, object]]] = ...) -> None: ...

class PipelineManifest(_message.Message):
    __slots__ = ("version", "metadata", "nodes", "connections")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    version: str
    metadata: ManifestMetadata
    nodes: _containers.RepeatedCompositeFieldContainer[NodeManifest]
    connections: _containers.RepeatedCompositeFieldContainer[Connection]
    def __init__(self, version: _Optional[str] = ..., metadata: _Optional[_Union[ManifestMetadata, _Mapping[str, object]]] = ..., nodes: _Optional[_Iterable[_Union[NodeManifest, _Mapping[str, object]]]] = ..., connections: _Optional[_Iterable[_Union[Connection, _Mapping[str, object]]]] = ...) -> None: ...

class ManifestMetadata(_message.Message):
    __slots__ = ("name", "description", "created_at", "multiprocess")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    MULTIPROCESS_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    created_at: str
    multiprocess: MultiprocessConfig
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., created_at: _Optional[str] = ..., multiprocess: _Optional[_Union[MultiprocessConfig, _Mapping[str, object]]] = ...) -> None: ...

class MultiprocessConfig(_message.Message):
    __slots__ = ("max_processes_per_session", "channel_capacity", "init_timeout_secs", "python_executable", "enable_backpressure", "executor_overrides", "stall_timeout_secs", "drop_policy", "max_message_bytes", "verify", "process_timeout_secs", "node_memory_bytes", "open_files")
    class ExecutorOverridesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    MAX_PROCESSES_PER_SESSION_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_CAPACITY_FIELD_NUMBER: _ClassVar[int]
    INIT_TIMEOUT_SECS_FIELD_NUMBER: _ClassVar[int]
    PYTHON_EXECUTABLE_FIELD_NUMBER: _ClassVar[int]
    ENABLE_BACKPRESSURE_FIELD_NUMBER: _ClassVar[int]
    EXECUTOR_OVERRIDES_FIELD_NUMBER: _ClassVar[int]
    STALL_TIMEOUT_SECS_FIELD_NUMBER: _ClassVar[int]
    DROP_POLICY_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    VERIFY_FIELD_NUMBER: _ClassVar[int]
    PROCESS_TIMEOUT_SECS_FIELD_NUMBER: _ClassVar[int]
    NODE_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    OPEN_FILES_FIELD_NUMBER: _ClassVar[int]
    max_processes_per_session: int
    channel_capacity: int
    init_timeout_secs: float
    python_executable: str
    enable_backpressure: bool
    executor_overrides: _containers.ScalarMap[str, str]
    stall_timeout_secs: float
    drop_policy: str
    max_message_bytes: int
    verify: bool
    process_timeout_secs: float
    node_memory_bytes: int
    open_files: int
    def __init__(self, max_processes_per_session: _Optional[int] = ..., channel_capacity: _Optional[int] = ..., init_timeout_secs: _Optional[float] = ..., python_executable: _Optional[str] = ..., enable_backpressure: _Optional[bool] = ..., executor_overrides: _Optional[_Mapping[str, str]] = ..., stall_timeout_secs: _Optional[float] = ..., drop_policy: _Optional[str] = ..., max_message_bytes: _Optional[int] = ..., verify: _Optional[bool] = ..., process_timeout_secs: _Optional[float] = ..., node_memory_bytes: _Optional[int] = ..., open_files: _Optional[int] = ...) -> None: ...

class NodeManifest(_message.Message):
    __slots__ = ("id", "node_type", "params", "is_streaming", "capabilities", "host", "runtime_hint", "input_types", "output_types")
    ID_FIELD_NUMBER: _ClassVar[int]
    NODE_TYPE_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    IS_STREAMING_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_HINT_FIELD_NUMBER: _ClassVar[int]
    INPUT_TYPES_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TYPES_FIELD_NUMBER: _ClassVar[int]
    id: str
    node_type: str
    params: str
    is_streaming: bool
    capabilities: CapabilityRequirements
    host: str
    runtime_hint: RuntimeHint
    input_types: _containers.RepeatedScalarFieldContainer[_common_pb2.DataTypeHint]
    output_types: _containers.RepeatedScalarFieldContainer[_common_pb2.DataTypeHint]
    def __init__(self, id: _Optional[str] = ..., node_type: _Optional[str] = ..., params: _Optional[str] = ..., is_streaming: _Optional[bool] = ..., capabilities: _Optional[_Union[CapabilityRequirements, _Mapping[str, object]]] = ..., host: _Optional[str] = ..., runtime_hint: _Optional[_Union[RuntimeHint, str]] = ..., input_types: _Optional[_Iterable[_Union[_common_pb2.DataTypeHint, str]]] = ..., output_types: _Optional[_Iterable[_Union[_common_pb2.DataTypeHint, str]]] = ...) -> None: ...

class Connection(_message.Message):
    __slots__ = ("to", "enable_backpressure", "channel_capacity", "drop_policy")
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    ENABLE_BACKPRESSURE_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_CAPACITY_FIELD_NUMBER: _ClassVar[int]
    DROP_POLICY_FIELD_NUMBER: _ClassVar[int]
    to: str
    enable_backpressure: bool
    channel_capacity: int
    drop_policy: str
    def __init__(self, to: _Optional[str] = ..., enable_backpressure: _Optional[bool] = ..., channel_capacity: _Optional[int] = ..., drop_policy: _Optional[str] = ..., **kwargs: object) -> None: ...

class CapabilityRequirements(_message.Message):
    __slots__ = ("gpu", "cpu", "memory_gb")
    GPU_FIELD_NUMBER: _ClassVar[int]
    CPU_FIELD_NUMBER: _ClassVar[int]
    MEMORY_GB_FIELD_NUMBER: _ClassVar[int]
    gpu: GpuRequirement
    cpu: CpuRequirement
    memory_gb: float
    def __init__(self, gpu: _Optional[_Union[GpuRequirement, _Mapping[str, object]]] = ..., cpu: _Optional[_Union[CpuRequirement, _Mapping[str, object]]] = ..., memory_gb: _Optional[float] = ...) -> None: ...

class GpuRequirement(_message.Message):
    __slots__ = ("type", "min_memory_gb", "required")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    MIN_MEMORY_GB_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    type: str
    min_memory_gb: float
    required: bool
    def __init__(self, type: _Optional[str] = ..., min_memory_gb: _Optional[float] = ..., required: _Optional[bool] = ...) -> None: ...

class CpuRequirement(_message.Message):
    __slots__ = ("cores", "arch")
    CORES_FIELD_NUMBER: _ClassVar[int]
    ARCH_FIELD_NUMBER: _ClassVar[int]
    cores: int
    arch: str
    def __init__(self, cores: _Optional[int] = ..., arch: _Optional[str] = ...) -> None: ...

class ExecutionResult(_message.Message):
    __slots__ = ("data_outputs", "metrics", "node_results", "status", "outputs")
    class DataOutputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _common_pb2.DataBuffer
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_common_pb2.DataBuffer, _Mapping[str, object]]] = ...) -> None: ...
    DATA_OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    NODE_RESULTS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    data_outputs: _containers.MessageMap[str, _common_pb2.DataBuffer]
    metrics: _common_pb2.ExecutionMetrics
    node_results: _containers.RepeatedCompositeFieldContainer[_common_pb2.NodeResult]
    status: _common_pb2.ExecutionStatus
    outputs: _containers.RepeatedCompositeFieldContainer[SinkOutput]
    def __init__(self, data_outputs: _Optional[_Mapping[str, _common_pb2.DataBuffer]] = ..., metrics: _Optional[_Union[_common_pb2.ExecutionMetrics, _Mapping[str, object]]] = ..., node_results: _Optional[_Iterable[_Union[_common_pb2.NodeResult, _Mapping[str, object]]]] = ..., status: _Optional[_Union[_common_pb2.ExecutionStatus, str]] = ..., outputs: _Optional[_Iterable[_Union[SinkOutput, _Mapping[str, object]]]] = ...) -> None: ...

class SinkOutput(_message.Message):
    __slots__ = ("node_id", "sequence", "part", "buffer", "timestamp_us")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    BUFFER_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_US_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    sequence: int
    part: int
    buffer: _common_pb2.DataBuffer
    timestamp_us: int
    def __init__(self, node_id: _Optional[str] = ..., sequence: _Optional[int] = ..., part: _Optional[int] = ..., buffer: _Optional[_Union[_common_pb2.DataBuffer, _Mapping[str, object]]] = ..., timestamp_us: _Optional[int] = ...) -> None: ...

class VersionRequest(_message.Message):
    __slots__ = ("client_version",)
    CLIENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    client_version: str
    def __init__(self, client_version: _Optional[str] = ...) -> None: ...

class VersionResponse(_message.Message):
    __slots__ = ("version_info", "compatible", "compatibility_message")
    VERSION_INFO_FIELD_NUMBER: _ClassVar[int]
    COMPATIBLE_FIELD_NUMBER: _ClassVar[int]
    COMPATIBILITY_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    version_info: _common_pb2.VersionInfo
    compatible: bool
    compatibility_message: str
    def __init__(self, version_info: _Optional[_Union[_common_pb2.VersionInfo, _Mapping[str, object]]] = ..., compatible: _Optional[bool] = ..., compatibility_message: _Optional[str] = ...) -> None: ...
