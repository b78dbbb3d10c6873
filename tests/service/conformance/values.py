"""Values: what goes in comes out, field by field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ledger import Case, fields_set, shows
from wire_client import WireClient, pipeline

from penstock.wire.v1 import common_pb2 as pb
from penstock.wire.v1 import execution_pb2 as execution


async def executed(wire: WireClient, given: pb.DataBuffer) -> execution.ExecuteResponse:
    request = execution.ExecuteRequest(manifest=pipeline("EchoNode"), data_inputs={"n0": given})
    return await wire.execute(request)  # type: ignore[no-any-return]  # gRPC's own type


def comes_back(given: pb.DataBuffer) -> Case:
    """Through a process and back, as it was."""

    async def case(wire: WireClient) -> None:
        response = await executed(wire, given)
        assert response.result.data_outputs["n0"] == given, response

    case.__module__ = __name__
    return case


SAMPLES = (
    pb.DataBuffer(
        audio=pb.AudioBuffer(
            samples=bytes(range(8)),
            sample_rate=16_000,
            channels=2,
            format=pb.AUDIO_FORMAT_I16,
            num_samples=4,
            metadata_json=b'{"a": 1}',
        ),
        metadata={"who": "anna"},
    ),
    pb.DataBuffer(
        video=pb.VideoFrame(
            pixel_data=b"abc",
            width=4,
            height=2,
            format=pb.PIXEL_FORMAT_ENCODED,
            frame_number=3,
            timestamp_us=5,
            codec=pb.VIDEO_CODEC_VP8,
            is_keyframe=True,
        )
    ),
    pb.DataBuffer(
        tensor=pb.TensorBuffer(data=bytes(8), shape=[2, 1], dtype=pb.TENSOR_DTYPE_F32, layout="NC")
    ),
    pb.DataBuffer(
        numpy=pb.NumpyBuffer(
            data=bytes(range(16)),
            shape=[2],
            dtype="<f8",
            strides=[8],
            c_contiguous=True,
            f_contiguous=True,
            layout="N",
        )
    ),
    pb.DataBuffer(json=pb.JsonData(json_payload='{"a":[1,null]}', schema_type="thing")),
    pb.DataBuffer(
        text=pb.TextBuffer(text_data=b"hello", encoding="utf-8", language="en", channel="left")
    ),
    pb.DataBuffer(binary=pb.BinaryBuffer(data=b"\x00\xff", mime_type="application/x")),
)
for sample in SAMPLES:
    shows(*fields_set(sample))(comes_back(sample))

CONTROL: dict[str, Any] = {"segment_id": "s", "timestamp_ms": 7, "metadata": "m"}
SPAN = pb.CancelSpeculation(from_timestamp=1, to_timestamp=2)
CONTROLS = (
    pb.ControlMessage(cancel_speculation=SPAN, **CONTROL),
    pb.ControlMessage(batch_hint=pb.BatchHint(suggested_batch_size=4)),
    pb.ControlMessage(deadline_warning=pb.DeadlineWarning(deadline_us=9)),
)
for control in CONTROLS:
    shows(*fields_set(control))(comes_back(pb.DataBuffer(control=control)))
shows("DataBuffer.control")(comes_back(pb.DataBuffer(control=CONTROLS[0])))

FILE = pb.DataBuffer(
    file=pb.FileBuffer(
        path=Path(__file__).name,
        filename="speech.txt",
        mime_type="text/x",
        size=Path(__file__).stat().st_size,
        offset=3,
        length=7,
        stream_id="s1",
    )
)


@shows(*fields_set(FILE))
async def a_file_becomes_its_bytes(wire: WireClient) -> None:
    got = (await executed(wire, FILE)).result.data_outputs["n0"]
    assert got.binary == pb.BinaryBuffer(data=b"Values:", mime_type="text/x")
    assert dict(got.metadata) == {"filename": "speech.txt", "stream_id": "s1"}


for name, size in (("F32", 4), ("I16", 2), ("I32", 4)):
    audio = pb.AudioBuffer(samples=bytes(8), sample_rate=8000, channels=1, num_samples=8 // size)
    audio.format = pb.AudioFormat.Value(f"AUDIO_FORMAT_{name}")
    shows(f"AudioFormat.AUDIO_FORMAT_{name}")(comes_back(pb.DataBuffer(audio=audio)))

FRAMES = {
    "UNSPECIFIED": 5, "RGB24": 12, "RGBA32": 16, "YUV420P": 6, "GRAY8": 4, "I420": 6, "NV12": 6,
    "ENCODED": 9,
}  # fmt: skip
"""Bytes of a frame of 2 × 2 pixels; two formats don't say."""
for name, size in FRAMES.items():
    frame = pb.VideoFrame(pixel_data=bytes(size), width=2, height=2)
    frame.format = pb.PixelFormat.Value(f"PIXEL_FORMAT_{name}")
    shows(f"PixelFormat.PIXEL_FORMAT_{name}")(comes_back(pb.DataBuffer(video=frame)))

for name in ("UNSPECIFIED", "VP8", "H264", "AV1"):
    frame = pb.VideoFrame(pixel_data=b"x", format=pb.PIXEL_FORMAT_ENCODED)
    frame.codec = pb.VideoCodec.Value(f"VIDEO_CODEC_{name}")
    shows(f"VideoCodec.VIDEO_CODEC_{name}")(comes_back(pb.DataBuffer(video=frame)))

for name, size in (("F32", 4), ("F16", 2), ("I32", 4), ("I8", 1), ("U8", 1)):
    tensor = pb.TensorBuffer(data=bytes(8), shape=[8 // size])
    tensor.dtype = pb.TensorDtype.Value(f"TENSOR_DTYPE_{name}")
    shows(f"TensorDtype.TENSOR_DTYPE_{name}")(comes_back(pb.DataBuffer(tensor=tensor)))


@shows("AudioFormat.AUDIO_FORMAT_UNSPECIFIED")
async def samples_of_no_format_are_f32(wire: WireClient) -> None:
    audio = pb.AudioBuffer(samples=bytes(8), sample_rate=8000, channels=1)
    got = (await executed(wire, pb.DataBuffer(audio=audio))).result.data_outputs["n0"].audio
    assert (got.format, got.num_samples) == (pb.AUDIO_FORMAT_F32, 2)


@shows("TensorDtype.TENSOR_DTYPE_UNSPECIFIED")
async def a_tensor_of_no_type_is_refused(wire: WireClient) -> None:
    tensor = pb.TensorBuffer(data=bytes(8), shape=[2])
    error = (await executed(wire, pb.DataBuffer(tensor=tensor))).error
    assert error.error_type == pb.ERROR_TYPE_TYPE_VALIDATION
    assert "dtype" in error.message
