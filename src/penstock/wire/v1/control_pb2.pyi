from . import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ControlDirection(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONTROL_DIRECTION_UNSPECIFIED: _ClassVar[ControlDirection]
    CONTROL_DIRECTION_IN: _ClassVar[ControlDirection]
    CONTROL_DIRECTION_OUT: _ClassVar[ControlDirection]

class NodeState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NODE_STATE_UNSPECIFIED: _ClassVar[NodeState]
    NODE_STATE_ENABLED: _ClassVar[NodeState]
    NODE_STATE_BYPASS: _ClassVar[NodeState]
    NODE_STATE_DISABLED: _ClassVar[NodeState]

class ControlErrorCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONTROL_ERROR_CODE_UNSPECIFIED: _ClassVar[ControlErrorCode]
    CONTROL_ERROR_CODE_SESSION_NOT_FOUND: _ClassVar[ControlErrorCode]
    CONTROL_ERROR_CODE_UNKNOWN_NODE: _ClassVar[ControlErrorCode]
    CONTROL_ERROR_CODE_INVALID_ADDRESS: _ClassVar[ControlErrorCode]
    CONTROL_ERROR_CODE_PROTOCOL: _ClassVar[ControlErrorCode]
    CONTROL_ERROR_CODE_UNAUTHORIZED: _ClassVar[ControlErrorCode]
    CONTROL_ERROR_CODE_INTERNAL: _ClassVar[ControlErrorCode]

class CloseReasonCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CLOSE_REASON_CODE_UNSPECIFIED: _ClassVar[CloseReasonCode]
    CLOSE_REASON_CODE_NORMAL: _ClassVar[CloseReasonCode]
    CLOSE_REASON_CODE_ERROR: _ClassVar[CloseReasonCode]
CONTROL_DIRECTION_UNSPECIFIED: ControlDirection
CONTROL_DIRECTION_IN: ControlDirection
CONTROL_DIRECTION_OUT: ControlDirection
NODE_STATE_UNSPECIFIED: NodeState
NODE_STATE_ENABLED: NodeState
NODE_STATE_BYPASS: NodeState
NODE_STATE_DISABLED: NodeState
CONTROL_ERROR_CODE_UNSPECIFIED: ControlErrorCode
CONTROL_ERROR_CODE_SESSION_NOT_FOUND: ControlErrorCode
CONTROL_ERROR_CODE_UNKNOWN_NODE: ControlErrorCode
CONTROL_ERROR_CODE_INVALID_ADDRESS: ControlErrorCode
CONTROL_ERROR_CODE_PROTOCOL: ControlErrorCode
CONTROL_ERROR_CODE_UNAUTHORIZED: ControlErrorCode
CONTROL_ERROR_CODE_INTERNAL: ControlErrorCode
CLOSE_REASON_CODE_UNSPECIFIED: CloseReasonCode
CLOSE_REASON_CODE_NORMAL: CloseReasonCode
CLOSE_REASON_CODE_ERROR: CloseReasonCode

class ControlAddress(_message.Message):
    __slots__ = ("node_id", "port", "direction")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    port: str
    direction: ControlDirection
    def __init__(self, node_id: _Optional[str] = ..., port: _Optional[str] = ..., direction: _Optional[_Union[ControlDirection, str]] = ...) -> None: ...

class InterceptDecision(_message.Message):
    __slots__ = ("replace", "drop")
    PASS_FIELD_NUMBER: _ClassVar[int]
    REPLACE_FIELD_NUMBER: _ClassVar[int]
    DROP_FIELD_NUMBER: _ClassVar[int]
    replace: _common_pb2.DataBuffer
    drop: Empty
    def __init__(self, replace: _Optional[_Union[_common_pb2.DataBuffer, _Mapping[str, object]]] = ..., drop: _Optional[_Union[Empty, _Mapping[str, object]]] = ..., **kwargs: object) -> None: ...

class Empty(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ControlFrame(_message.Message):
    __slots__ = ("hello", "subscribe", "unsubscribe", "publish", "intercept", "remove_intercept", "intercept_reply", "set_node_state", "clear_node_state", "interrupt")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBE_FIELD_NUMBER: _ClassVar[int]
    UNSUBSCRIBE_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_FIELD_NUMBER: _ClassVar[int]
    INTERCEPT_FIELD_NUMBER: _ClassVar[int]
    REMOVE_INTERCEPT_FIELD_NUMBER: _ClassVar[int]
    INTERCEPT_REPLY_FIELD_NUMBER: _ClassVar[int]
    SET_NODE_STATE_FIELD_NUMBER: _ClassVar[int]
    CLEAR_NODE_STATE_FIELD_NUMBER: _ClassVar[int]
    INTERRUPT_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    subscribe: Subscribe
    unsubscribe: Unsubscribe
    publish: Publish
    intercept: Intercept
    remove_intercept: RemoveIntercept
    intercept_reply: InterceptReply
    set_node_state: SetNodeState
    clear_node_state: ClearNodeState
    interrupt: Interrupt
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping[str, object]]] = ..., subscribe: _Optional[_Union[Subscribe, _Mapping[str, object]]] = ..., unsubscribe: _Optional[_Union[Unsubscribe, _Mapping[str, object]]] = ..., publish: _Optional[_Union[Publish, _Mapping[str, object]]] = ..., intercept: _Optional[_Union[Intercept, _Mapping[str, object]]] = ..., remove_intercept: _Optional[_Union[RemoveIntercept, _Mapping[str, object]]] = ..., intercept_reply: _Optional[_Union[InterceptReply, _Mapping[str, object]]] = ..., set_node_state: _Optional[_Union[SetNodeState, _Mapping[str, object]]] = ..., clear_node_state: _Optional[_Union[ClearNodeState, _Mapping[str, object]]] = ..., interrupt: _Optional[_Union[Interrupt, _Mapping[str, object]]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("session_id", "attach_id", "acknowledge")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    ATTACH_ID_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGE_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    attach_id: str
    acknowledge: bool
    def __init__(self, session_id: _Optional[str] = ..., attach_id: _Optional[str] = ..., acknowledge: _Optional[bool] = ...) -> None: ...

class Subscribe(_message.Message):
    __slots__ = ("addr",)
    ADDR_FIELD_NUMBER: _ClassVar[int]
    addr: ControlAddress
    def __init__(self, addr: _Optional[_Union[ControlAddress, _Mapping[str, object]]] = ...) -> None: ...

class Unsubscribe(_message.Message):
    __slots__ = ("addr",)
    ADDR_FIELD_NUMBER: _ClassVar[int]
    addr: ControlAddress
    def __init__(self, addr: _Optional[_Union[ControlAddress, _Mapping[str, object]]] = ...) -> None: ...

class Publish(_message.Message):
    __slots__ = ("addr", "data", "timestamp_us")
    ADDR_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_US_FIELD_NUMBER: _ClassVar[int]
    addr: ControlAddress
    data: _common_pb2.DataBuffer
    timestamp_us: int
    def __init__(self, addr: _Optional[_Union[ControlAddress, _Mapping[str, object]]] = ..., data: _Optional[_Union[_common_pb2.DataBuffer, _Mapping[str, object]]] = ..., timestamp_us: _Optional[int] = ...) -> None: ...

class Intercept(_message.Message):
    __slots__ = ("addr", "deadline_ms")
    ADDR_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    addr: ControlAddress
    deadline_ms: int
    def __init__(self, addr: _Optional[_Union[ControlAddress, _Mapping[str, object]]] = ..., deadline_ms: _Optional[int] = ...) -> None: ...

class RemoveIntercept(_message.Message):
    __slots__ = ("addr",)
    ADDR_FIELD_NUMBER: _ClassVar[int]
    addr: ControlAddress
    def __init__(self, addr: _Optional[_Union[ControlAddress, _Mapping[str, object]]] = ...) -> None: ...

class InterceptReply(_message.Message):
    __slots__ = ("correlation_id", "decision")
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    correlation_id: int
    decision: InterceptDecision
    def __init__(self, correlation_id: _Optional[int] = ..., decision: _Optional[_Union[InterceptDecision, _Mapping[str, object]]] = ...) -> None: ...

class SetNodeState(_message.Message):
    __slots__ = ("node_id", "state")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    state: NodeState
    def __init__(self, node_id: _Optional[str] = ..., state: _Optional[_Union[NodeState, str]] = ...) -> None: ...

class ClearNodeState(_message.Message):
    __slots__ = ("node_id",)
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    def __init__(self, node_id: _Optional[str] = ...) -> None: ...

class Interrupt(_message.Message):
    __slots__ = ("node_id", "overtakes")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    OVERTAKES_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    overtakes: int
    def __init__(self, node_id: _Optional[str] = ..., overtakes: _Optional[int] = ...) -> None: ...

class ControlEvent(_message.Message):
    __slots__ = ("attached", "tap", "intercept_request", "error", "session_closed", "interrupted", "acknowledged")
    ATTACHED_FIELD_NUMBER: _ClassVar[int]
    TAP_FIELD_NUMBER: _ClassVar[int]
    INTERCEPT_REQUEST_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SESSION_CLOSED_FIELD_NUMBER: _ClassVar[int]
    INTERRUPTED_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    attached: Attached
    tap: TapEvent
    intercept_request: InterceptRequest
    error: ErrorEvent
    session_closed: SessionClosed
    interrupted: _common_pb2.Interrupted
    acknowledged: Acknowledged
    def __init__(self, attached: _Optional[_Union[Attached, _Mapping[str, object]]] = ..., tap: _Optional[_Union[TapEvent, _Mapping[str, object]]] = ..., intercept_request: _Optional[_Union[InterceptRequest, _Mapping[str, object]]] = ..., error: _Optional[_Union[ErrorEvent, _Mapping[str, object]]] = ..., session_closed: _Optional[_Union[SessionClosed, _Mapping[str, object]]] = ..., interrupted: _Optional[_Union[_common_pb2.Interrupted, _Mapping[str, object]]] = ..., acknowledged: _Optional[_Union[Acknowledged, _Mapping[str, object]]] = ...) -> None: ...

class Acknowledged(_message.Message):
    __slots__ = ("frame", "sequence", "epoch", "late")
    FRAME_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    frame: int
    sequence: int
    epoch: int
    late: bool
    def __init__(self, frame: _Optional[int] = ..., sequence: _Optional[int] = ..., epoch: _Optional[int] = ..., late: _Optional[bool] = ...) -> None: ...

class Attached(_message.Message):
    __slots__ = ("session_id", "attach_id", "acknowledges")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    ATTACH_ID_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGES_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    attach_id: str
    acknowledges: bool
    def __init__(self, session_id: _Optional[str] = ..., attach_id: _Optional[str] = ..., acknowledges: _Optional[bool] = ...) -> None: ...

class TapEvent(_message.Message):
    __slots__ = ("addr", "data", "lost", "sequence", "part", "timestamp_us")
    ADDR_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_US_FIELD_NUMBER: _ClassVar[int]
    addr: ControlAddress
    data: _common_pb2.DataBuffer
    lost: int
    sequence: int
    part: int
    timestamp_us: int
    def __init__(self, addr: _Optional[_Union[ControlAddress, _Mapping[str, object]]] = ..., data: _Optional[_Union[_common_pb2.DataBuffer, _Mapping[str, object]]] = ..., lost: _Optional[int] = ..., sequence: _Optional[int] = ..., part: _Optional[int] = ..., timestamp_us: _Optional[int] = ...) -> None: ...

class InterceptRequest(_message.Message):
    __slots__ = ("addr", "correlation_id", "data", "sequence", "part", "timestamp_us")
    ADDR_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_US_FIELD_NUMBER: _ClassVar[int]
    addr: ControlAddress
    correlation_id: int
    data: _common_pb2.DataBuffer
    sequence: int
    part: int
    timestamp_us: int
    def __init__(self, addr: _Optional[_Union[ControlAddress, _Mapping[str, object]]] = ..., correlation_id: _Optional[int] = ..., data: _Optional[_Union[_common_pb2.DataBuffer, _Mapping[str, object]]] = ..., sequence: _Optional[int] = ..., part: _Optional[int] = ..., timestamp_us: _Optional[int] = ...) -> None: ...

class ErrorEvent(_message.Message):
    __slots__ = ("code", "message", "addr", "frame", "error")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ADDR_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    code: ControlErrorCode
    message: str
    addr: ControlAddress
    frame: int
    error: _common_pb2.ErrorResponse
    def __init__(self, code: _Optional[_Union[ControlErrorCode, str]] = ..., message: _Optional[str] = ..., addr: _Optional[_Union[ControlAddress, _Mapping[str, object]]] = ..., frame: _Optional[int] = ..., error: _Optional[_Union[_common_pb2.ErrorResponse, _Mapping[str, object]]] = ...) -> None: ...

class SessionClosed(_message.Message):
    __slots__ = ("reason", "detail", "error", "taps")
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    TAPS_FIELD_NUMBER: _ClassVar[int]
    reason: CloseReasonCode
    detail: str
    error: _common_pb2.ErrorResponse
    taps: _containers.RepeatedCompositeFieldContainer[TapEnd]
    def __init__(self, reason: _Optional[_Union[CloseReasonCode, str]] = ..., detail: _Optional[str] = ..., error: _Optional[_Union[_common_pb2.ErrorResponse, _Mapping[str, object]]] = ..., taps: _Optional[_Iterable[_Union[TapEnd, _Mapping[str, object]]]] = ...) -> None: ...

class TapEnd(_message.Message):
    __slots__ = ("addr", "lost")
    ADDR_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    addr: ControlAddress
    lost: int
    def __init__(self, addr: _Optional[_Union[ControlAddress, _Mapping[str, object]]] = ..., lost: _Optional[int] = ...) -> None: ...
