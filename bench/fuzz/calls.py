"""What the fuzz calls: every method of every service, with messages whole, changed or spoilt."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from grpc_reflection.v1alpha import reflection_pb2
from hypothesis import strategies as st

from bench.fuzz.messages import SESSION, changed, messages, spoilt
from penstock.wire.v1 import common_pb2 as pb
from penstock.wire.v1 import (
    control_pb2,
    execution_pb2,
    health_pb2,
    penstock_pb2,
    streaming_pb2,
)

_FILES = (execution_pb2, streaming_pb2, control_pb2, health_pb2, penstock_pb2, reflection_pb2)
METHODS: tuple[MethodDescriptor, ...] = tuple(
    method
    for module in _FILES
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
)
_MOST = 6
_STREAMS = 4
"""How much more often than another a method is called that takes a stream."""


@dataclass(frozen=True, slots=True)
class Call:
    """A method, the bytes of its requests, and after how many answers the client gives up."""

    method: MethodDescriptor
    requests: tuple[bytes, ...]
    given_up_after: int | None = None

    @property
    def path(self) -> str:
        return f"/{self.method.containing_service.full_name}/{self.method.name}"

    def __repr__(self) -> str:
        shown = ", ".join(repr(request) for request in self.requests)
        return f"{self.path}({shown}; given up after {self.given_up_after})"


@st.composite
def calls(draw: st.DrawFn, name: str = "") -> Call:
    """Any call, or any of the methods of that ``name``."""
    method = draw(_METHODS.filter(lambda one: one.name == name) if name else _METHODS)
    said = draw(_CONVERSATIONS[method.full_name])
    is_altered, is_spoilt = draw(_OFTEN), draw(_SELDOM)
    if said and is_altered:
        said = _altered(draw, said)
    requests = [one.SerializeToString() for one in said]
    if requests and is_spoilt:
        at = draw(st.integers(0, len(requests) - 1))
        requests[at] = draw(spoilt(requests[at]))
    return Call(method, tuple(requests), draw(_GIVEN_UP))


def _conversations(method: MethodDescriptor) -> st.SearchStrategy[list[Message]]:
    one = messages(method.input_type)
    any_said = (
        st.lists(one, max_size=_MOST) if method.client_streaming else st.tuples(one).map(list)
    )
    known = _TALKS.get(method.name)
    return any_said if known is None else st.one_of(any_said, st.sampled_from(known).map(list))


def _altered(draw: st.DrawFn, said: list[Message]) -> list[Message]:
    """A conversation with a message that is another, gone, twice there, or at another place."""
    at = draw(st.integers(0, len(said) - 1))
    how = draw(_ALTERATIONS) if len(said) > 1 else "another"
    if how == "gone":
        return [*said[:at], *said[at + 1 :]]
    if how == "twice":
        return [*said[: at + 1], *said[at:]]
    if how == "moved":
        return draw(st.permutations(said))
    return [*said[:at], draw(changed(said[at])), *said[at + 1 :]]


def _pipeline(*types: str) -> execution_pb2.PipelineManifest:
    return execution_pb2.PipelineManifest(
        version="v1",
        nodes=[
            execution_pb2.NodeManifest(id=f"n{number}", node_type=name)
            for number, name in enumerate(types)
        ],
        connections=[
            _connection(f"n{number}", f"n{number + 1}") for number in range(len(types) - 1)
        ],
    )


def _connection(source: str, target: str) -> execution_pb2.Connection:
    connection = execution_pb2.Connection(to=target)
    setattr(connection, "from", source)  # no name that Python allows
    return connection


def _text(said: str) -> pb.DataBuffer:
    return pb.DataBuffer(text=pb.TextBuffer(text_data=said.encode()))


def _init(*types: str, **fields: object) -> streaming_pb2.StreamRequest:
    init = streaming_pb2.StreamInit(manifest=_pipeline(*types), **fields)  # type: ignore[arg-type]  # any field
    return streaming_pb2.StreamRequest(init=init)


def _chunk(buffer: pb.DataBuffer, sequence: int = 0) -> streaming_pb2.StreamRequest:
    chunk = streaming_pb2.DataChunk(node_id="n0", buffer=buffer, sequence=sequence)
    return streaming_pb2.StreamRequest(data_chunk=chunk)


def _control(command: streaming_pb2.StreamControl.Command) -> streaming_pb2.StreamRequest:
    return streaming_pb2.StreamRequest(control=streaming_pb2.StreamControl(command=command))


def live_session() -> streaming_pb2.StreamRequest:
    """What opens the session that is attached to."""
    return _init("PassThrough", "EchoNode")


def live_chunk() -> streaming_pb2.StreamRequest:
    """What gives it something to do."""
    return _chunk(_text("x"))


def _at(node_id: str, direction: control_pb2.ControlDirection) -> control_pb2.ControlAddress:
    return control_pb2.ControlAddress(node_id=node_id, direction=direction)


def _attached(**op: Message) -> tuple[control_pb2.ControlFrame, ...]:
    """An attachment that says one thing, and subscribes to what comes of it."""
    hello = control_pb2.Hello(session_id=SESSION, attach_id="me", acknowledge=True)
    subscribe = control_pb2.Subscribe(addr=_at("n1", _OUT))
    return (
        control_pb2.ControlFrame(hello=hello),
        control_pb2.ControlFrame(subscribe=subscribe),
        control_pb2.ControlFrame(**op),  # type: ignore[arg-type]  # any of them
    )


_IN, _OUT = control_pb2.CONTROL_DIRECTION_IN, control_pb2.CONTROL_DIRECTION_OUT
_AUDIO = pb.AudioBuffer(
    samples=bytes(640), sample_rate=16_000, channels=1, format=pb.AUDIO_FORMAT_I16
)
_CLOSE = _control(streaming_pb2.StreamControl.COMMAND_CLOSE)
_VALUES = (
    _text("hello"),
    pb.DataBuffer(audio=_AUDIO),
    pb.DataBuffer(json=pb.JsonData(json_payload='{"a": 1}')),
    pb.DataBuffer(binary=pb.BinaryBuffer(data=b"abc")),
    pb.DataBuffer(
        video=pb.VideoFrame(pixel_data=bytes(4), width=2, height=2, format=pb.PIXEL_FORMAT_GRAY8)
    ),
    pb.DataBuffer(tensor=pb.TensorBuffer(data=bytes(8), shape=[2], dtype=pb.TENSOR_DTYPE_F32)),
    pb.DataBuffer(numpy=pb.NumpyBuffer(data=bytes(16), shape=[2], dtype="<f8", strides=[8])),
    pb.DataBuffer(control=pb.ControlMessage(batch_hint=pb.BatchHint(suggested_batch_size=2))),
    pb.DataBuffer(file=pb.FileBuffer(path="/etc/hostname")),
)
_LIMITS = pb.ResourceLimits(
    max_memory_bytes=200 << 20, max_timeout_ms=5000, max_audio_samples=100_000
)
_TALKS: dict[str, tuple[tuple[Message, ...], ...]] = {
    "StreamPipeline": (
        (_init("PassThrough"), *(_chunk(value) for value in _VALUES[:8]), _CLOSE),
        (_init("EchoNode"), *(_chunk(value, n) for n, value in enumerate(_VALUES[:4])), _CLOSE),
        (
            _init("AudioChunkerNode", resource_limits=_LIMITS),
            streaming_pb2.StreamRequest(
                audio_chunk=streaming_pb2.AudioChunk(node_id="n0", buffer=_AUDIO, sequence=1)
            ),
            _CLOSE,
        ),
        (
            _init("PassThrough", "PassThrough", data_inputs={"n0": _VALUES[0]}),
            _chunk(_VALUES[2]),
            _control(streaming_pb2.StreamControl.COMMAND_INTERRUPT),
            _chunk(_VALUES[3]),
            _control(streaming_pb2.StreamControl.COMMAND_CANCEL),
        ),
    ),
    "ExecutePipeline": tuple(
        (
            execution_pb2.ExecuteRequest(
                manifest=_pipeline(*types), data_inputs={"n0": value}, resource_limits=_LIMITS
            ),
        )
        for types in (("PassThrough",), ("PassThrough", "EchoNode"))
        for value in _VALUES
    ),
    "PlanPipeline": ((penstock_pb2.PlanRequest(manifest=_pipeline("PassThrough", "EchoNode")),),),
    "Attach": (
        (control_pb2.ControlFrame(hello=control_pb2.Hello(session_id="nobody")),),
        *(
            _attached(publish=control_pb2.Publish(addr=_at(node_id, _IN), data=value))
            for node_id, value in zip(("n0", "n1") * 5, _VALUES, strict=False)
        ),
        _attached(intercept=control_pb2.Intercept(addr=_at("n0", _OUT), deadline_ms=5)),
        _attached(remove_intercept=control_pb2.RemoveIntercept(addr=_at("n0", _OUT))),
        _attached(unsubscribe=control_pb2.Unsubscribe(addr=_at("n1", _OUT))),
        _attached(
            intercept_reply=control_pb2.InterceptReply(
                correlation_id=1, decision=control_pb2.InterceptDecision(replace=_VALUES[0])
            )
        ),
        _attached(
            set_node_state=control_pb2.SetNodeState(
                node_id="n0", state=control_pb2.NODE_STATE_BYPASS
            )
        ),
        _attached(clear_node_state=control_pb2.ClearNodeState(node_id="n0")),
        _attached(interrupt=control_pb2.Interrupt(node_id="n0")),
        _attached(interrupt=control_pb2.Interrupt(overtakes=3)),
    ),
}

_EXECUTE = next(one for one in METHODS if one.name == "ExecutePipeline")
WARM_UP = tuple(
    Call(_EXECUTE, (said.SerializeToString(),)) for (said,) in _TALKS["ExecutePipeline"]
)
"""What a service has answered before it is looked at for the first time."""
_METHODS = st.sampled_from(
    [one for one in METHODS for _ in range(_STREAMS if one.client_streaming else 1)]
)
_CONVERSATIONS = {method.full_name: _conversations(method) for method in METHODS}
_ALTERATIONS = st.sampled_from(("another", "another", "gone", "twice", "moved"))
_OFTEN = st.booleans()
_SELDOM = st.integers(0, 3).map(lambda number: number == 3)
_GIVEN_UP = st.sampled_from((None, None, None, 0, 1, 2, 3))
