"""Values of every kind, type and layout, for whatever has to carry them bit for bit."""

import numpy as np

from penstock.data import (
    Audio,
    BatchHint,
    Binary,
    CancelSpeculation,
    Control,
    DeadlineWarning,
    Json,
    PixelFormat,
    Tensor,
    Text,
    Video,
    VideoCodec,
)
from penstock.data.values import frame_bytes

_RNG = np.random.default_rng(7)
NUMERIC = "?" + np.typecodes["AllInteger"] + np.typecodes["AllFloat"]
"""Every numeric type of this platform by its letter: bool, integers, floats, complex."""


def noise(nbytes):
    return _RNG.integers(0, 256, nbytes, dtype=np.uint8)


def _numbers(code, shape):
    """Any bits will do, but for the padding of long doubles, which is no part of the number."""
    dtype = np.dtype(code)
    if dtype.char == "?":
        return noise(int(np.prod(shape))).reshape(shape) > 127
    if dtype.kind in "iu":
        return noise(int(np.prod(shape)) * dtype.itemsize).view(dtype).reshape(shape)
    return _RNG.standard_normal(shape).astype(dtype)


def _audio():
    for dtype in (np.float32, np.int16, np.int32):
        for channels in (1, 2, 3, 6, 32):
            samples = _numbers(dtype, (333, channels))
            yield f"audio {samples.dtype} × {channels}", Audio(samples, 48_000)
    wide = _numbers(np.int16, (900, 4))
    yield "audio with metadata", Audio(wide, 16_000, {"speaker": "ř"}, b'{"x": 1}')
    yield "audio of every third sample", Audio(wide[::3], 16_000)
    yield "audio of one channel of four", Audio(wide[:, 2], 16_000)
    yield "audio backwards", Audio(wide[::-1], 16_000)
    yield "audio in planes", Audio(np.asfortranarray(wide), 16_000)
    yield "audio without samples", Audio(np.empty((0, 2), np.float32), 8_000)


def _video():
    for pixel_format in PixelFormat:
        for width, height in ((64, 48), (5, 3), (1, 1)):
            nbytes = frame_bytes(pixel_format, width, height)
            pixels = noise(2_000 if nbytes is None else nbytes)
            frame = Video(pixels, width, height, pixel_format, timestamp_us=-1)
            yield f"video {pixel_format.name} {width}×{height}", frame
    for codec in VideoCodec:
        frame = Video(noise(5_000), 640, 480, PixelFormat.ENCODED, codec, 1, 40_000, True)
        yield f"video encoded {codec.name}", frame
    yield "video without bytes", Video(noise(0), 640, 480, PixelFormat.ENCODED)


def _tensors():
    for code in NUMERIC:
        for order in "<>":
            array = _numbers(code, (37, 11)).astype(np.dtype(code).newbyteorder(order))
            yield f"tensor {array.dtype.str}", Tensor(array, "HW")
    block = _numbers("f4", (6, 7, 8, 9))
    yield "tensor in Fortran order", Tensor(np.asfortranarray(block), "NCHW", {"k": "v"})
    yield "tensor with swapped axes", Tensor(block.transpose(2, 0, 3, 1))
    yield "tensor with holes", Tensor(block[::2, 1:, ::-3])
    yield "tensor repeated by its strides", Tensor(np.broadcast_to(block[0, 0, 0], (40, 9)))
    yield "tensor of no dimension", Tensor(np.array(3.5, np.float16))
    yield "tensor of one big-endian number", Tensor(np.array(7, ">i8"))
    for shape in ((0,), (0, 3), (4, 0, 2)):
        yield f"tensor of shape {shape}", Tensor(np.empty(shape, np.int8))
    yield "tensor of NaNs", Tensor(np.full(500, np.nan) * np.array([1, -1] * 250))


def _others():
    yield "text", Text("čau, 世界 👋 " * 500, "cs", "main", {"k": "v"})
    yield "text with a zero", Text("a\0b")
    yield "text without letters", Text("")
    yield "json", Json({"a": [1, 2.5, None, True, 2**80], "b": {"c": "d" * 3000}}, "schema")
    for value in (None, 0, "", [], {}, False, 1e300, -0.0):
        yield f"json {value!r}", Json(value)
    yield "binary", Binary(noise(100_000), "application/octet-stream", {"k": "v"})
    yield "binary of every second byte", Binary(noise(9_000)[::2])
    yield "binary without bytes", Binary(noise(0))
    yield "control cancel", Control(CancelSpeculation(-1, 2**62), "segment", 3, "why")
    yield "control hint", Control(BatchHint(8))
    yield "control deadline", Control(DeadlineWarning(2**60), metadata={"k": "v"})
    yield "long metadata", Text("short", metadata={"long": "x" * 5_000})
    yield "long metadata and payload", Binary(noise(9_000), metadata={"long": "y" * 5_000})


SAMPLES = {
    name: value for family in (_audio, _video, _tensors, _others) for name, value in family()
}
