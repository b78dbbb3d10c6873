"""A short fuzz of every method finds nothing, and what it sends is what it claims to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from bench.fuzz.calls import METHODS, Call, calls
from bench.fuzz.messages import SESSION, changed, messages, spoilt
from penstock.wire.methods import PATHS
from penstock.wire.v1 import control_pb2 as control
from penstock.wire.v1 import streaming_pb2 as pb

ROOT = Path(__file__).parents[2]
CONTROL_OPS = control.ControlFrame.DESCRIPTOR.oneofs_by_name["op"].fields


def test_a_short_fuzz() -> None:
    fuzz = [sys.executable, "-m", "bench.fuzz", "--requests", "300", "--short"]
    done = subprocess.run(fuzz, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ": 0 found" in done.stdout


def test_every_method_that_is_served_is_called() -> None:
    paths = {f"/{method.containing_service.full_name}/{method.name}" for method in METHODS}
    assert paths >= PATHS


@given(messages(pb.StreamRequest.DESCRIPTOR))
def test_any_message_can_be_sent(message: pb.StreamRequest) -> None:
    assert pb.StreamRequest.FromString(message.SerializeToString()) is not None


def test_every_field_of_a_message_is_tried() -> None:
    for field in pb.DataChunk.DESCRIPTOR.fields:
        find(
            messages(pb.DataChunk.DESCRIPTOR),
            lambda one, name=field.name: any(f.name == name for f, _ in one.ListFields()),
        )


@given(st.data())
def test_a_changed_message_is_one_of_its_kind(data: st.DataObject) -> None:
    message = pb.StreamRequest(data_chunk=pb.DataChunk(node_id="n0", sequence=3))
    other = data.draw(changed(message))
    assert isinstance(other, pb.StreamRequest)
    assert message == pb.StreamRequest(data_chunk=pb.DataChunk(node_id="n0", sequence=3))


def test_spoilt_bytes_are_often_no_message() -> None:
    def is_none(data: bytes) -> bool:
        try:
            pb.StreamRequest.FromString(data)
        except DecodeError:
            return True
        return False

    whole = pb.StreamRequest(data_chunk=pb.DataChunk(node_id="n0")).SerializeToString()
    assert find(spoilt(whole), is_none) != whole


def test_conversations_are_also_whole() -> None:
    def is_whole(call: Call) -> bool:
        requests = [pb.StreamRequest.FromString(data) for data in call.requests]
        return len(requests) > 3 and requests[0].HasField("init")

    assert find(calls("StreamPipeline"), lambda call: _parses(call) and is_whole(call))


def _parses(call: Call) -> bool:
    kind = GetMessageClass(call.method.input_type)
    try:
        return all(kind.FromString(data) is not None for data in call.requests)
    except DecodeError:
        return False


@pytest.mark.timeout(120)  # some have to be looked for
@pytest.mark.parametrize("op", [op.name for op in CONTROL_OPS])
def test_a_session_that_there_is_is_attached_to_in_every_way(op: str) -> None:
    """What is not said to one that there is would be refused by its name, whatever it says."""
    any_will_do = settings(phases=[Phase.generate], max_examples=10_000, database=None)
    assert find(
        calls("Attach"), lambda call: _parses(call) and _says(call, op), settings=any_will_do
    )


def _says(call: Call, name: str) -> bool:
    frames = [control.ControlFrame.FromString(data) for data in call.requests]
    is_there = bool(frames) and frames[0].hello.session_id == SESSION
    return is_there and any(frame.HasField(name) for frame in frames)
