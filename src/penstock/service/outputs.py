"""A sink's output as the protocol's buffer."""

from __future__ import annotations

import time

from penstock.errors import InputError, NodeError
from penstock.session import Output
from penstock.wire.buffers import encode_beside, encode_into
from penstock.wire.codec_time import CodecTime
from penstock.wire.v1 import common_pb2 as pb


def write_output(output: Output, buffer: pb.DataBuffer, codec: CodecTime) -> None:
    """Write the output's value where it will be sent from.

    Raises ``NodeError`` for a value that has no place in the protocol: its node made it.
    """
    started = time.perf_counter()
    try:
        encode_into(buffer, output.value)
    except InputError as exc:
        raise _unsendable(output, exc) from exc
    codec.encoding_s += time.perf_counter() - started


def write_output_beside(
    output: Output, buffer: pb.DataBuffer, codec: CodecTime
) -> memoryview | None:
    """The same, but for a large payload, which is given back: it belongs beside the message."""
    started = time.perf_counter()
    try:
        payload = encode_beside(buffer, output.value)
    except InputError as exc:
        raise _unsendable(output, exc) from exc
    codec.encoding_s += time.perf_counter() - started
    return payload


def _unsendable(output: Output, why: InputError) -> NodeError:
    return NodeError(output.node_id, f"its output {output.sequence}: {why}")
