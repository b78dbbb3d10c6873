"""What headers say of a call, and of its end (gRPC over HTTP/2)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import quote

import grpc

Metadata: TypeAlias = tuple[tuple[str, str | bytes], ...]
Headers: TypeAlias = list[tuple[bytes, bytes]]
ENCODINGS = ("identity", "deflate", "gzip")
"""How messages may be compressed, as both ends call it."""
CONTENT_TYPE = b"application/grpc"
LENGTH = b":content-length"
"""What the header of that name is called where ``h2`` is not to go by it."""
_NAME = re.compile(rb":?[!-9;-@\[-~]+")
_BROKEN = re.compile(rb"[\0\r\n]")
"""What no value may have in it; a name has its own letters (RFC 9113, section 8.2.1)."""
_TIMEOUT = re.compile(r"(\d{1,8})([HMSmun])", re.ASCII)
_UNITS_S = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_HIDDEN = frozenset(
    (
        "te",
        "content-type",
        "grpc-timeout",
        "grpc-encoding",
        "grpc-accept-encoding",
    )
)
"""What is said to gRPC itself, and is no metadata."""
_ENTRY_BYTES = 32
"""What each header counts for beside its letters (RFC 9113, section 6.5.2)."""
_PLAIN = "".join(chr(code) for code in range(0x20, 0x7F) if code != 0x25)
"""What a status message may have on the wire as it is."""
_ACCEPTED: Headers = [(b"grpc-accept-encoding", b"identity,deflate,gzip")]


class MalformedCallError(Exception):
    """A request that breaks the rules of HTTP: its stream is reset (RFC 9113, section 8.1.1)."""


class NotGrpcError(Exception):
    """A request of HTTP/2 that is none of gRPC; ``headers`` are all that there is to say to it."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.headers: Headers = [(b":status", str(status).encode())]


class BadCallError(Exception):
    """A call that can't be served; ``headers`` say so, by a status of gRPC."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.headers = response_headers("identity") + trailers(code, message, ())


@dataclass(frozen=True, slots=True)
class Opening:
    """How a call begins: ``method`` is its path; ``timeout_s`` None has no deadline.

    ``encoding`` is what its compressed messages are compressed by, ``accepted`` what it can read.
    """

    method: str
    metadata: Metadata
    timeout_s: float | None
    encoding: str
    accepted: tuple[str, ...]


def read_opening(headers: Iterable[tuple[bytes, bytes]], most_bytes: int) -> Opening:
    """Raises ``MalformedCallError``, ``NotGrpcError`` and ``BadCallError``.

    The last of these where it has over ``most_bytes``, for one. A length of all that comes says
    nothing beside those that messages have: servers of gRPC go by none, so one that is wrong,
    but is a length, does no harm.
    """
    said: dict[bytes, bytes] = {}
    metadata: list[tuple[str, str | bytes]] = []
    size = 0
    for name, value in headers:
        size += len(name) + len(value) + _ENTRY_BYTES
        if _NAME.fullmatch(name) is None or _BROKEN.search(value) is not None:
            raise MalformedCallError
        if name == LENGTH and not (value.isdigit() and said.get(LENGTH, value) == value):
            raise MalformedCallError
        if name.startswith(b":"):
            said[name] = value
            continue
        key = name.decode("latin-1")
        if key in _HIDDEN:
            said[name] = value
        else:
            metadata.append((key, _value(key, value)))
    if said.get(b":method") != b"POST":
        raise NotGrpcError(405)
    if not said.get(b"content-type", b"").startswith(CONTENT_TYPE):
        raise NotGrpcError(415)
    if size > most_bytes:
        raise metadata_refused(f"{size} vs. {most_bytes} bytes")
    encoding = said.get(b"grpc-encoding", b"identity").decode("latin-1")
    if encoding not in ENCODINGS:
        expected = ", ".join(ENCODINGS)
        message = f"grpc-encoding: expected one of {expected}, got {encoding[:64]!r}"
        raise BadCallError(grpc.StatusCode.UNIMPLEMENTED, message)
    accepts = said.get(b"grpc-accept-encoding", b"").decode("latin-1").split(",")
    return Opening(
        method=said.get(b":path", b"").decode("utf-8", "replace"),
        metadata=tuple(metadata),
        timeout_s=_timeout_s(said.get(b"grpc-timeout")),
        encoding=encoding,
        accepted=tuple(name.strip() for name in accepts if name.strip() in ENCODINGS),
    )


def metadata_refused(how_much: str) -> BadCallError:
    """What is said of more metadata than a call may have."""
    message = f"received metadata size exceeds hard limit ({how_much})"
    return BadCallError(grpc.StatusCode.RESOURCE_EXHAUSTED, message)


def _value(key: str, value: bytes) -> str | bytes:
    """What a header says; where it is bytes, they are in base64, with or without padding."""
    if not key.endswith("-bin"):
        return value.decode("utf-8", "replace")
    try:
        return base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
    except binascii.Error as exc:
        message = f"metadata {key[:64]!r}: expected base64"
        raise BadCallError(grpc.StatusCode.INVALID_ARGUMENT, message) from exc


def _timeout_s(said: bytes | None) -> float | None:
    if said is None:
        return None
    found = _TIMEOUT.fullmatch(said.decode("latin-1"))
    if found is None:
        message = f"grpc-timeout: expected digits and one of HMSmun, got {said[:32]!r}"
        raise BadCallError(grpc.StatusCode.INVALID_ARGUMENT, message)
    return int(found[1]) * _UNITS_S[found[2]]


def response_headers(encoding: str) -> Headers:
    """How an answer begins, whose compressed messages are compressed by ``encoding``."""
    headers = [(b":status", b"200"), (b"content-type", CONTENT_TYPE), *_ACCEPTED]
    if encoding != "identity":
        headers.append((b"grpc-encoding", encoding.encode()))
    return headers


class PlainEncoder:
    """Writes headers letter by letter (RFC 7541, section 6.2.2): as quick as short.

    It is what ``h2`` has its headers written by.
    """

    header_table_size = 0

    def encode(self, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        return b"".join(b"\0" + _text(name) + _text(value) for name, value in headers)


def _text(said: bytes) -> bytes:
    """A string with its length before it, which takes a byte up to 126 (section 5.1)."""
    rest = len(said) - 127
    if rest < 0:
        return bytes((len(said),)) + said
    size = bytearray((127,))
    while rest >= 128:
        size.append(rest & 127 | 128)
        rest >>= 7
    size.append(rest)
    return bytes(size) + said


def trailers(code: grpc.StatusCode, message: str, metadata: Metadata) -> Headers:
    """How an answer ends."""
    said = [(b"grpc-status", str(code.value[0]).encode())]
    if message:
        said.append((b"grpc-message", quote(message, safe=_PLAIN).encode()))
    for key, value in metadata:
        text = value.encode() if isinstance(value, str) else base64.b64encode(value).rstrip(b"=")
        said.append((key.encode(), text))
    return said
