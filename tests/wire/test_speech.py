"""Plain audio is read and written as protobuf would, without it."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from penstock.data import Audio, Text
from penstock.data.values import NO_METADATA
from penstock.errors import InputError
from penstock.session import Output
from penstock.wire.buffers import decode, decode_audio_buffer, encode_into
from penstock.wire.parsing import Malformed, parsing
from penstock.wire.parted import LARGE_BYTES, Parted, read_request, write_response
from penstock.wire.speech import read_speech, reading_speech, write_speech, writing_speech
from penstock.wire.v1 import common_pb2 as common
from penstock.wire.v1 import streaming_pb2 as pb

HIGHEST = (1 << 64) - 1
NUMBERS = st.integers(0, HIGHEST) | st.integers(0, 300)
DTYPES = [np.int16, np.int32, np.float32]


def plain(samples: int = 320, **more: Any) -> common.AudioBuffer:
    fields = {"sample_rate": 16_000, "channels": 1, "format": common.AUDIO_FORMAT_I16} | more
    return common.AudioBuffer(samples=bytes(2 * samples), **fields)


def of_data(audio: common.AudioBuffer, **more: Any) -> pb.StreamRequest:
    chunk = pb.DataChunk(buffer=common.DataBuffer(audio=audio), **more)
    return pb.StreamRequest(data_chunk=chunk)


def of_audio(audio: common.AudioBuffer, **more: Any) -> pb.StreamRequest:
    return pb.StreamRequest(audio_chunk=pb.AudioChunk(buffer=audio, **more))


REQUESTS = [
    of_data(plain()),
    of_data(plain(0)),
    of_audio(plain()),
    of_data(plain(num_samples=320), node_id="n", sequence=7, timestamp_ms=9),
    of_audio(plain(num_samples=160, channels=2), node_id="ü", sequence=HIGHEST, timestamp_ms=1),
    of_audio(common.AudioBuffer(samples=bytes(8), sample_rate=1, channels=2)),
]


def read_by_protobuf(data: bytes) -> tuple[Any, ...] | None:
    """What a request brings that is a chunk of audio and nothing else; None for any other."""
    try:
        request = pb.StreamRequest.FromString(data)
        kind = request.WhichOneof("request")
        if kind == "audio_chunk":
            chunk: Any = request.audio_chunk
            value = decode_audio_buffer(chunk.buffer, "")
        elif kind == "data_chunk" and not request.data_chunk.named_buffers:
            chunk = request.data_chunk
            value = decode(chunk.buffer, "")
        else:
            return None
    except (DecodeError, InputError):
        return None
    return kind, chunk.node_id, chunk.sequence, chunk.timestamp_ms, value


def read(data: bytes) -> tuple[Any, ...] | None:
    found = read_speech(data)
    if found is None:
        return None
    assert found.WhichOneof("request") == found.kind
    assert (found.message, found.payload) == (found, None)
    return found.kind, found.node_id, found.sequence, found.timestamp_ms, found.value


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_chunk_of_plain_audio_is_read(request_: pb.StreamRequest) -> None:
    data = request_.SerializeToString()
    found = read(data)
    assert found is not None
    assert found == read_by_protobuf(data)
    assert not found[-1].samples.flags.writeable
    assert found[-1].samples.flags.aligned


@given(
    st.sampled_from(["data", "audio"]),
    st.binary(max_size=24),
    st.integers(0, (1 << 32) - 1) | st.integers(0, 3),
    st.integers(0, 4),
    st.integers(0, 5),
    NUMBERS,
    st.none() | st.binary(max_size=3),
    st.text(max_size=5),
    NUMBERS,
    NUMBERS,
    st.dictionaries(st.text(max_size=2), st.text(max_size=2), max_size=1),
)
def test_it_is_read_as_protobuf_does_or_left_to_it(  # a field each
    kind: str,
    samples: bytes,
    rate: int,
    channels: int,
    format_: Any,
    count: int,
    said: bytes | None,
    node_id: str,
    sequence: int,
    timestamp_ms: int,
    metadata: dict[str, str],
) -> None:
    audio = common.AudioBuffer(
        samples=samples,
        sample_rate=rate,
        channels=channels,
        format=format_,
        num_samples=count,
        metadata_json=said,
    )
    more: dict[str, Any] = {"node_id": node_id, "sequence": sequence, "timestamp_ms": timestamp_ms}
    request = of_data(audio, **more) if kind == "data" else of_audio(audio, **more)
    if kind == "data":
        request.data_chunk.buffer.metadata.update(metadata)
    data = request.SerializeToString()
    found, wanted = read(data), read_by_protobuf(data)
    assert found in (None, wanted)
    if wanted is not None and said is None and (kind == "audio" or not metadata):
        assert found is not None


def test_whatever_is_changed_of_its_bytes_protobuf_agrees() -> None:
    """Bytes that are others, missing, or twice there: 60,000 requests, of which some are read."""
    change = random.Random(41)
    seen = 0
    for _ in range(60_000):
        data = bytearray(change.choice(REQUESTS[1:]).SerializeToString()[:64])
        for _ in range(change.randint(1, 3)):
            at = change.randrange(len(data))
            match change.randrange(4):
                case 0:
                    data[at] = change.choice((0, 1, 2, 8, 10, 18, 26, 127, 128, 255))
                case 1:
                    del data[at]
                case 2:
                    data.insert(at, change.choice((0, 1, 10, 24, 128, 255)))
                case _:
                    data[at:at] = data[at : at + change.randint(1, 4)]
            if not data:
                break
        found = read(bytes(data))
        if found is not None:
            seen += 1
            assert found == read_by_protobuf(bytes(data))
    assert seen > 500


def field(number: int, content: bytes) -> bytes:
    return bytes((number << 3 | 2, len(content))) + content


AUDIO = plain(2).SerializeToString()
BUFFER = field(1, AUDIO)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x12",
        field(1, b""),
        field(2, field(2, BUFFER)) + field(2, b""),
        field(2, field(2, BUFFER)) + b"\x08\x01",
        field(2, field(2, BUFFER) + field(2, BUFFER)),
        field(2, field(2, BUFFER) + field(3, b"")),
        field(2, field(2, BUFFER) + b"\x20\x01\x20\x02"),
        field(2, field(2, BUFFER) + b"\x20" + b"\xff" * 10),
        field(2, field(2, BUFFER) + b"\x20" + b"\xff" * 9 + b"\x02"),
        field(2, field(2, BUFFER) + b"\x70\x01"),
        field(2, field(2, BUFFER) + b"\x03\x04"),
        field(2, field(1, b"\xff") + field(2, BUFFER)),
        field(2, field(1, b"n")),
        field(2, field(2, b"")),
        field(2, field(2, BUFFER + BUFFER)),
        field(2, field(2, field(1, AUDIO + field(6, b"{}")))),
        field(2, field(2, field(1, AUDIO + b"\x18\x02"))),
        field(2, field(2, field(1, AUDIO[:-2] + b"\x20\x04"))),
        field(2, field(2, field(1, AUDIO[:-1]))),
        field(3, field(2, b"")),
    ],
)
def test_what_is_unusual_is_left_to_protobuf(data: bytes) -> None:
    assert read_speech(data) is None


def test_what_is_large_goes_another_way() -> None:
    assert read_speech(of_data(plain(LARGE_BYTES // 2)).SerializeToString()) is None
    assert written(Audio(np.zeros(LARGE_BYTES // 2, np.int16), 1)) is None


def written_by_protobuf(output: Output, total: int) -> bytes:
    response = pb.StreamResponse()
    result = response.result
    result.sequence = output.sequence
    result.part = output.part
    result.timestamp_us = output.timestamp_us
    if output.latency_s is not None:
        result.processing_time_ms = output.latency_s * 1e3
    result.total_items_processed = total
    encode_into(result.data_outputs[output.node_id], output.value)
    return response.SerializeToString()


def written(value: Any, **more: Any) -> bytes | None:
    facts = {"sequence": 1, "part": 0, "timestamp_us": 0, "latency_s": None} | more
    return write_speech(Output("n", value, **facts), 1)


@given(
    st.text(max_size=200),
    st.sampled_from(DTYPES),
    st.integers(0, 200),
    st.integers(1, 3),
    st.integers(1, (1 << 32) - 1),
    NUMBERS,
    NUMBERS,
    st.integers(0, (1 << 63) - 1),
    st.none() | st.floats(0, 1e9),
    NUMBERS,
    st.booleans(),
)
def test_a_result_is_written_as_protobuf_does(  # a field each
    node_id: str,
    dtype: Any,
    count: int,
    channels: int,
    rate: int,
    sequence: int,
    part: int,
    timestamp_us: int,
    latency_s: float | None,
    total: int,
    is_transposed: bool,
) -> None:
    shape = (channels, count) if is_transposed else (count, channels)
    samples = np.arange(count * channels, dtype=dtype).reshape(shape)
    audio = Audio(samples.T if is_transposed else samples, rate)
    output = Output(node_id, audio, sequence, part, timestamp_us, latency_s)
    assert write_speech(output, total) == written_by_protobuf(output, total)


@pytest.mark.parametrize(
    ("value", "more"),
    [
        (Text("x"), {}),
        (Audio(np.zeros(2, np.int16), 1, {"who": "anna"}), {}),
        (Audio(np.zeros(2, np.int16), 1, NO_METADATA, b"{}"), {}),
        (Audio(np.zeros(2, np.int16), 1 << 32), {}),
        (Audio(np.zeros(2, np.int16), 1), {"timestamp_us": -1}),
    ],
)
def test_another_result_is_left_to_protobuf(value: Any, more: dict[str, Any]) -> None:
    assert written(Audio(np.zeros(2, np.int16), 1)) is not None
    assert written(value, **more) is None


def test_what_is_no_speech_is_read_and_written_by_the_rest() -> None:
    read_any = reading_speech(parsing(pb.StreamRequest, read_request))
    write_any = writing_speech(write_response)
    control = pb.StreamRequest(control=pb.StreamControl(command=pb.StreamControl.COMMAND_CLOSE))
    assert read_any(REQUESTS[0].SerializeToString()).value.samples.shape == (320, 1)
    assert read_any(control.SerializeToString()) == Parted(control)
    assert isinstance(read_any(b"\xff"), Malformed)
    ready = pb.StreamResponse(ready=pb.StreamReady(session_id="s"))
    assert write_any(b"as it is") == b"as it is"
    assert write_any(Parted(ready)) == ready.SerializeToString()


def test_no_samples_of_many_channels_take_no_memory() -> None:
    many = common.AudioBuffer(sample_rate=1, channels=(1 << 32) - 1)
    found = read(of_audio(many).SerializeToString())
    assert found is not None
    assert found[-1].samples.shape == (0, (1 << 32) - 1)
