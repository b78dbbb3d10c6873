"""``FileBuffer``: files below the folders that the operator allows, as the bytes in them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from penstock.errors import InvalidValueError, ResourceLimitError
from penstock.service.beneath import open_beneath
from penstock.wire.v1 import common_pb2 as pb

Placed = tuple[str, pb.DataBuffer | pb.AudioBuffer]
"""Where a buffer stands in its message, and the buffer; one of audio is no file."""


class Files:
    """Reads files in threads; those of one message have at most ``largest`` bytes together.

    ``may_be_read`` says whether a ``FileBuffer`` can be anything but refused.
    """

    def __init__(self, folders: Sequence[str], largest: int) -> None:
        self.may_be_read = bool(folders)
        self._folders = tuple(Path(folder) for folder in folders)
        self._largest = largest

    async def load(self, buffers: Iterable[Placed]) -> None:
        """Put the bytes of each file in the place of its ``FileBuffer``.

        The value is then a ``binary`` of the file's ``mime_type``, with ``filename`` and
        ``stream_id`` in its metadata. Where no folder is allowed they stay as they are, and are
        refused as values. Raises ``InvalidValueError`` and ``ResourceLimitError``.
        """
        if not self.may_be_read:
            return
        files = [
            (where, buffer)
            for where, buffer in buffers
            if isinstance(buffer, pb.DataBuffer) and buffer.HasField("file")
        ]
        if files:
            await asyncio.to_thread(self._load, files)

    def _load(self, files: Sequence[tuple[str, pb.DataBuffer]]) -> None:
        free = self._largest
        for where, buffer in files:
            data = self._read(buffer.file, where, free)
            free -= len(data)
            _replace(buffer, data)

    def _read(self, message: pb.FileBuffer, where: str, free: int) -> bytes:
        descriptor = self._open(message.path, where)
        try:
            offset, length = _span(message, os.fstat(descriptor).st_size, where)
            if length > free:
                raise ResourceLimitError(
                    "max_message_bytes", wished=length, free=free, limit=self._largest
                )
            return _bytes(descriptor, offset, length, where)
        finally:
            os.close(descriptor)

    def _open(self, path: str, where: str) -> int:
        """The first that there is; what it is not said, nor whether others exist elsewhere."""
        for folder, below in self._candidates(path):
            try:
                return open_beneath(folder, below)
            except (OSError, ValueError):  # no file, none that may be read, or no path at all
                continue
        raise InvalidValueError(
            f"{where}.file.path: {path[:200]!r} is no file below the folders that are allowed"
        )

    def _candidates(self, path: str) -> Iterator[tuple[Path, str]]:
        said = PurePosixPath(path)
        for folder in self._folders:
            if not said.is_absolute():
                yield folder, path
            elif said.is_relative_to(folder):
                yield folder, str(said.relative_to(folder))


def _span(message: pb.FileBuffer, size: int, where: str) -> tuple[int, int]:
    """Offset and length of what is wished; a size or length of 0 says nothing."""
    if message.size not in (0, size):
        raise InvalidValueError(f"{where}.file.size: says {message.size}, but it has {size} bytes")
    if message.offset > size:
        raise InvalidValueError(f"{where}.file.offset: {message.offset} is behind its {size} bytes")
    length = message.length or size - message.offset
    if message.offset + length > size:
        raise InvalidValueError(
            f"{where}.file.length: {length} from {message.offset} on is more than its {size} bytes"
        )
    return message.offset, length


def _bytes(descriptor: int, offset: int, length: int, where: str) -> bytes:
    data = bytearray()
    while len(data) < length:
        part = os.pread(descriptor, length - len(data), offset + len(data))
        if not part:
            raise InvalidValueError(f"{where}.file: it became shorter while it was read")
        data += part
    return bytes(data)


def _replace(buffer: pb.DataBuffer, data: bytes) -> None:
    message = pb.FileBuffer()
    message.CopyFrom(buffer.file)
    buffer.binary.data = data
    buffer.binary.mime_type = message.mime_type
    buffer.metadata["filename"] = message.filename or PurePosixPath(message.path).name
    if message.stream_id:
        buffer.metadata["stream_id"] = message.stream_id
