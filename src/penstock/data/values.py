"""The seven kinds of data, as frozen values.

Arrays are taken as they are, never copied: who hands one over stops writing to it. A value
that came from another process holds a read-only view on shared memory.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Any, ClassVar, TypeAlias, TypeVar, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.data.audio import check_audio

NO_METADATA: Mapping[str, str] = MappingProxyType({})
_BYTE = np.dtype(np.uint8)


class Kind(StrEnum):
    """The kinds of data that edges carry."""

    __hash__ = str.__hash__  # an Enum's is written in Python, and each message is looked up by it

    AUDIO = "audio"
    VIDEO = "video"
    TENSOR = "tensor"
    TEXT = "text"
    JSON = "json"
    BINARY = "binary"
    CONTROL = "control"


class PixelFormat(IntEnum):
    """How a frame's bytes are laid out; numbers are those of ``remotemedia.v1``."""

    UNSPECIFIED = 0
    RGB24 = 1
    RGBA32 = 2
    YUV420P = 3
    GRAY8 = 4
    I420 = 5
    NV12 = 6
    ENCODED = 255


class VideoCodec(IntEnum):
    """What an encoded frame is encoded with; numbers are those of ``remotemedia.v1``."""

    UNSPECIFIED = 0
    VP8 = 1
    H264 = 2
    AV1 = 3


def _same(left: object, right: object) -> bool:
    """Equal bit for bit: arrays by type, shape and bytes, everything else by ``==``."""
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        return (
            left.dtype == right.dtype
            and left.shape == right.shape
            and left.tobytes() == right.tobytes()
        )
    return bool(left == right)


class _Value(msgspec.Struct, frozen=True, weakref=True, eq=False):
    """Equality bit for bit; unhashable, since arrays are.

    A struct, because every message makes one at each hop: a quarter of a frozen dataclass's
    time.
    """

    __hash__: ClassVar[None]  # type: ignore[assignment]  # arrays can't be hashed

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        names = self.__struct_fields__
        return all(_same(getattr(self, name), getattr(other, name)) for name in names)


def _no_array(name: str, found: object) -> TypeError:
    return TypeError(f"{name} must be a numpy array, got {type(found).__name__}")


def _check_bytes(name: str, found: object) -> None:
    if not isinstance(found, np.ndarray):
        raise _no_array(name, found)
    if found.dtype != _BYTE or found.ndim != 1:
        raise ValueError(
            f"{name} must be one-dimensional uint8, got {found.dtype} of shape {found.shape}"
        )


class Audio(_Value, frozen=True, weakref=True, eq=False):
    """Sampled sound.

    ``samples``: (samples, channels), float32 in [-1, 1], int16 or int32; a one-dimensional
    array is taken as mono. ``metadata_json`` is what the client said about it, untouched.
    Raises ``ValueError`` for another shape or type, for more than 64 channels of at most 8 samples
    (they are the other way round), or a rate below 1 Hz; here and in the other kinds, what is no
    array at all is a ``TypeError``.
    """

    kind: ClassVar[Kind] = Kind.AUDIO
    samples: NDArray[Any]
    sample_rate_hz: int
    metadata: Mapping[str, str] = NO_METADATA
    metadata_json: bytes | None = None

    __post_init__ = check_audio  # type: ignore[misc]  # it is one as soon as it is here

    @property
    def channels(self) -> int:
        return int(self.samples.shape[1])

    @property
    def duration_s(self) -> float:
        return float(self.samples.shape[0] / self.sample_rate_hz)


class Video(_Value, frozen=True, weakref=True, eq=False):
    """One frame: raw pixels (``pixels``: one-dimensional uint8) or an encoded unit.

    A raw frame's length must be what ``pixel_format``, ``width`` and ``height`` make it;
    anything else raises ``ValueError``. ``timestamp_us`` is the presentation time in µs.
    """

    kind: ClassVar[Kind] = Kind.VIDEO
    pixels: NDArray[np.uint8]
    width: int
    height: int
    pixel_format: PixelFormat
    codec: VideoCodec = VideoCodec.UNSPECIFIED
    frame_number: int = 0
    timestamp_us: int = 0
    is_keyframe: bool = False
    metadata: Mapping[str, str] = NO_METADATA

    def __post_init__(self) -> None:
        _check_bytes("pixels", self.pixels)
        expected = frame_bytes(self.pixel_format, self.width, self.height)
        if expected is not None and self.pixels.size != expected:
            raise ValueError(
                f"a {self.width}×{self.height} {self.pixel_format.name} frame has {expected} "
                f"bytes, got {self.pixels.size}"
            )


def frame_bytes(pixel_format: PixelFormat, width: int, height: int) -> int | None:
    """Bytes of a raw frame; None where the format doesn't say (encoded, unspecified)."""
    match pixel_format:
        case PixelFormat.RGB24:
            return 3 * width * height
        case PixelFormat.RGBA32:
            return 4 * width * height
        case PixelFormat.GRAY8:
            return width * height
        case PixelFormat.YUV420P | PixelFormat.I420 | PixelFormat.NV12:
            return width * height + 2 * ((width + 1) // 2) * ((height + 1) // 2)
    return None


class Tensor(_Value, frozen=True, weakref=True, eq=False):
    """An array of any numeric type and shape, C or Fortran order; ``layout`` as in NCHW.

    Raises ``ValueError`` for object, text, date and structured types.
    """

    kind: ClassVar[Kind] = Kind.TENSOR
    array: NDArray[Any]
    layout: str = ""
    metadata: Mapping[str, str] = NO_METADATA

    def __post_init__(self) -> None:
        if not isinstance(self.array, np.ndarray):
            raise _no_array("array", self.array)
        if self.array.dtype.kind not in "biufc":
            raise ValueError(f"array must be numeric, got {self.array.dtype}")


class Text(_Value, frozen=True, weakref=True, eq=False):
    """Text; ``language`` as in BCP 47, ``channel`` as the client names it.

    Raises ``TypeError`` for what is no ``str``.
    """

    kind: ClassVar[Kind] = Kind.TEXT
    text: str
    language: str = ""
    channel: str = ""
    metadata: Mapping[str, str] = NO_METADATA

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise TypeError(f"text must be a str, got {type(self.text).__name__}")


class Json(_Value, frozen=True, weakref=True, eq=False):
    """Any JSON value, parsed; NaN and infinities are no JSON and are refused when packed.

    Who only passes it on may have a ``msgspec.Raw`` in ``value`` instead: its text in UTF-8, which
    nobody has parsed. Nodes never get it so.
    """

    kind: ClassVar[Kind] = Kind.JSON
    value: Any
    schema_type: str = ""
    metadata: Mapping[str, str] = NO_METADATA


class Binary(_Value, frozen=True, weakref=True, eq=False):
    """Bytes that nobody interprets; ``data``: one-dimensional uint8."""

    kind: ClassVar[Kind] = Kind.BINARY
    data: NDArray[np.uint8]
    mime_type: str = ""
    metadata: Mapping[str, str] = NO_METADATA

    def __post_init__(self) -> None:
        _check_bytes("data", self.data)

    @classmethod
    def from_bytes(cls, data: bytes | memoryview, mime_type: str = "") -> Binary:
        """Wrap any buffer without copying it."""
        return cls(np.frombuffer(data, dtype=np.uint8), mime_type)


@dataclass(frozen=True, slots=True)
class CancelSpeculation:
    """What was guessed for this stretch of time is void (µs on the client's clock)."""

    from_timestamp: int
    to_timestamp: int


@dataclass(frozen=True, slots=True)
class BatchHint:
    """Suggests how many items to work on at once."""

    suggested_batch_size: int


@dataclass(frozen=True, slots=True)
class DeadlineWarning:
    """The result is worth nothing after ``deadline_us``."""

    deadline_us: int


class Control(_Value, frozen=True, weakref=True, eq=False):
    """A message about the stream, travelling in it."""

    kind: ClassVar[Kind] = Kind.CONTROL
    message: CancelSpeculation | BatchHint | DeadlineWarning
    segment_id: str = ""
    timestamp_ms: int = 0
    message_metadata: str = ""
    metadata: Mapping[str, str] = NO_METADATA


Value: TypeAlias = Audio | Video | Tensor | Text | Json | Binary | Control
VALUE_TYPES: frozenset[type[Value]] = frozenset(get_args(Value))
AnyValue = TypeVar("AnyValue", bound=_Value)


def types_of(kinds: Collection[Kind]) -> frozenset[type[Value]]:
    """The classes of these kinds: to look one of them up takes less than to look up its kind."""
    return frozenset(one for one in VALUE_TYPES if one.kind in kinds)


def replace(value: AnyValue, /, **changes: Any) -> AnyValue:
    """The value with some of its fields changed, and checked as a new one is.

    Arrays that stay are shared, not copied. Raises ``TypeError`` for a field that its kind
    doesn't have, and what its kind raises.
    """
    return msgspec.structs.replace(value, **changes)


_ARRAYS: dict[type, str] = {Audio: "samples", Video: "pixels", Tensor: "array", Binary: "data"}


_NO_ARRAY = np.empty(0)


def freeze(value: Value) -> None:
    """Make the value's array read-only: from now on others look at it."""
    name = _ARRAYS.get(type(value))
    if name is not None:
        flags = getattr(value, name).flags
        if flags.writeable:
            flags.writeable = False


def own(value: AnyValue) -> AnyValue:
    """The same value, with memory of its own: a copy, where its array is a view on other memory."""
    name = _ARRAYS.get(type(value))
    array = getattr(value, name) if name is not None else _NO_ARRAY
    if name is None or array.flags.owndata:
        return value
    copy = array.copy(order="K")
    copy.flags.writeable = False
    return replace(value, **{name: copy})
