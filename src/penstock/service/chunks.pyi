from typing import Any, TypeAlias

from penstock.data import Value
from penstock.wire.speech import SpeechRequest
from penstock.wire.v1 import common_pb2 as common
from penstock.wire.v1 import streaming_pb2 as pb

Chunk: TypeAlias = pb.DataChunk | pb.AudioChunk | SpeechRequest

class Inputs:
    def __init__(
        self,
        values: tuple[tuple[str, Value], ...],
        sequence: int | None,
        timestamp_ms: int,
        entered_ns: int = 0,
    ) -> None: ...
    @property
    def values(self) -> tuple[tuple[str, Value], ...]: ...
    @property
    def sequence(self) -> int | None: ...
    @property
    def timestamp_ms(self) -> int: ...
    @property
    def entered_ns(self) -> int: ...
    @property
    def nbytes(self) -> int: ...

class Part:
    @property
    def node_id(self) -> str: ...
    @property
    def buffer(self) -> common.DataBuffer | common.AudioBuffer: ...
    @property
    def where(self) -> str: ...

def chunk_of(request: Any) -> Chunk | None: ...
def parts_of(chunk: Chunk) -> list[Part]: ...
def decode_chunk(
    chunk: Chunk,
    parts: list[Part],
    sequence: int | None,
    largest: int,
    payload: memoryview | None = None,
) -> Inputs: ...
