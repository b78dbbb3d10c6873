"""A sink's output as the protocol's buffer."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from penstock.errors import InputError, NodeError
from penstock.session import Output
from penstock.wire.buffers import encode_beside, encode_into
from penstock.wire.metrics import CodecTime
from penstock.wire.v1 import common_pb2 as pb


def write_output(output: Output, buffer: pb.DataBuffer, codec: CodecTime) -> None:
    """Write the output's value where it will be sent from.

    Raises ``NodeError`` for a value that has no place in the protocol: its node made it.
    """
    with _encoding(output, codec):
        encode_into(buffer, output.value)


def write_output_beside(
    output: Output, buffer: pb.DataBuffer, codec: CodecTime
) -> memoryview | None:
    """The same, but for a large payload, which is given back: it belongs beside the message."""
    with _encoding(output, codec):
        return encode_beside(buffer, output.value)


@contextlib.contextmanager
def _encoding(output: Output, codec: CodecTime) -> Iterator[None]:
    started = time.perf_counter()
    try:
        yield
    except InputError as exc:
        raise NodeError(output.node_id, f"its output {output.sequence}: {exc}") from exc
    finally:
        codec.encoding_s += time.perf_counter() - started
