"""Clients of many streams, in a process of their own: a chunk each 20 ms in, a result for each out.

It sends bytes that were made beforehand and parses nothing, over a connection of its own make, so
that it takes little of the machine that it measures, and the same whatever it talks to. How late a
result is counts from when its chunk was due: what the generator itself is late with is part of it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import pairwise
from time import perf_counter
from typing import Any

import numpy as np

from bench.load.connection import Connection
from bench.rpc.echo import SERVICE, STREAM
from bench.runner import percentile
from penstock.data import Audio
from penstock.manifest import parse_manifest
from penstock.wire.buffers import encode
from penstock.wire.manifests import encode_manifest
from penstock.wire.methods import STREAM_PIPELINE
from penstock.wire.v1.streaming_pb2 import DataChunk, StreamInit, StreamRequest

CHUNK_S = 0.02
SAMPLE_RATE_HZ = 16_000
_GRACE_S = 1.0
"""How long results may still come after the last chunk; later ones are never too early."""
_RESULT = b"\x12"  # the tag of StreamResponse.result
_READY = b"\x0a"
_START_S = 60.0

NODES = {"echo": [], "native": ["PassThrough"], "processes": ["EchoNode"] * 3}
"""What is between a chunk and its result, by kind; for an echo it is no session at all."""


class Load:
    """Streams of one kind on one connection."""

    def __init__(self, connection: Connection, kind: str, streams: int) -> None:
        self._connection = connection
        path, init, self._chunk = _words(kind)
        self._prefix = _RESULT if init else b""
        self._streams = [connection.call(path) for _ in range(streams)]
        for stream in self._streams if init else ():
            connection.send(stream, init)
            self._await_ready(stream)

    def late_s(self, chunks: int) -> list[float]:
        """How late the results of so many chunks of each stream came; a second for what did not.

        All streams' chunks are spread over the time. A stream's first quarter doesn't count: it is
        warm by then.
        """
        streams = self._streams
        total, gap_s = chunks * len(streams), CHUNK_S / len(streams)
        first = perf_counter() + CHUNK_S
        end = first + chunks * CHUNK_S + _GRACE_S
        expected = {stream: number for number, stream in enumerate(streams)}
        late = [_GRACE_S] * total
        sent = results = 0
        while results < total and (now := perf_counter()) < end:
            while sent < total and first + sent * gap_s <= now:
                self._connection.send(streams[sent % len(streams)], self._chunk)
                sent += 1
            due = first + sent * gap_s if sent < total else end
            for stream in self._results(due):
                number = expected[stream]
                expected[stream] += len(streams)
                late[number] = perf_counter() - (first + number * gap_s)
                results += 1
        return late[total // 4 :]

    def _results(self, until: float) -> Iterator[int]:
        """Whose results have come, or come first until then."""
        for stream, message in self._connection.receive(until):
            if message.startswith(self._prefix):
                yield stream

    def _await_ready(self, opened: int) -> None:
        until = perf_counter() + _START_S
        while perf_counter() < until:
            for stream, message in self._connection.receive(until):
                if stream == opened and message.startswith(_READY):
                    return
        raise TimeoutError(f"stream {opened} is not ready after {_START_S:g} s")


def _words(kind: str) -> tuple[str, bytes, bytes]:
    """The method to call, what opens a stream (if anything does), and what each chunk is."""
    samples = (np.arange(int(SAMPLE_RATE_HZ * CHUNK_S)) % 199).astype(np.int16)
    buffer = encode(Audio(samples, SAMPLE_RATE_HZ))
    if kind == "echo":
        return f"/{SERVICE}/{STREAM}", b"", buffer.SerializeToString()
    init = StreamRequest(init=StreamInit(manifest=encode_manifest(parse_manifest(_manifest(kind)))))
    chunk = StreamRequest(data_chunk=DataChunk(buffer=buffer))
    return STREAM_PIPELINE.path, init.SerializeToString(), chunk.SerializeToString()


def _manifest(kind: str) -> dict[str, Any]:
    names = [f"n{number}" for number in range(len(NODES[kind]))]
    return {
        "version": "v1",
        "metadata": {"name": kind, "multiprocess": {"max_message_bytes": 1 << 20}},
        "nodes": [
            {"id": name, "node_type": node_type}
            for name, node_type in zip(names, NODES[kind], strict=True)
        ],
        "connections": [{"from": source, "to": target} for source, target in pairwise(names)],
    }


def late_ms(address: str, kind: str, streams: int, chunks: int) -> Sequence[float]:
    """How late the results of all streams came, in ms."""
    host, _, port = address.rpartition(":")
    with closing(Connection(host, int(port))) as connection:
        return [late * 1e3 for late in Load(connection, kind, streams).late_s(chunks)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.load.generator")
    parser.add_argument("kind", choices=list(NODES))
    parser.add_argument("address")
    parser.add_argument("streams", type=int)
    parser.add_argument("chunks", type=int)
    asked = parser.parse_args()
    late = late_ms(asked.address, asked.kind, asked.streams, asked.chunks)
    print(percentile(late, 99))


if __name__ == "__main__":
    main()
