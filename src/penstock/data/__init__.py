"""Typed values and what carries them. Knows nothing of nodes, processes or manifests."""

from penstock.data.executor_type import ExecutorType
from penstock.data.message import CLIENT, Message
from penstock.data.packing import pack
from penstock.data.payloads import payload_bytes
from penstock.data.reading import PARSED_BYTES, Reader, ReadsValues, passing_reader, reader
from penstock.data.sizes import VALUE_BYTES, held_bytes
from penstock.data.values import (
    VALUE_TYPES,
    Audio,
    BatchHint,
    Binary,
    CancelSpeculation,
    Control,
    DeadlineWarning,
    Json,
    Kind,
    PixelFormat,
    Tensor,
    Text,
    Value,
    Video,
    VideoCodec,
    freeze,
    own,
    replace,
    types_of,
)

__all__ = [
    "CLIENT",
    "PARSED_BYTES",
    "VALUE_BYTES",
    "VALUE_TYPES",
    "Audio",
    "BatchHint",
    "Binary",
    "CancelSpeculation",
    "Control",
    "DeadlineWarning",
    "ExecutorType",
    "Json",
    "Kind",
    "Message",
    "PixelFormat",
    "Reader",
    "ReadsValues",
    "Tensor",
    "Text",
    "Value",
    "Video",
    "VideoCodec",
    "freeze",
    "held_bytes",
    "own",
    "pack",
    "passing_reader",
    "payload_bytes",
    "reader",
    "replace",
    "types_of",
]
