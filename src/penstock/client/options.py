"""How a client reaches a service, and who it is there."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote

import grpc

from penstock.errors import InputError
from penstock.manifest import can_be_token

UNIX = "unix:"
_BEFORE_ADDRESSES = re.compile(r"^(dns:(//[^/]*/)?|ipv4:|ipv6:)", re.IGNORECASE)
"""What may stand before ``HOST:PORT``, in the way of gRPC."""
_PORTLESS = re.compile(r"(unix|unix-abstract|vsock|xds):.+", re.IGNORECASE | re.DOTALL)
_HOST_AND_PORT = re.compile(r"(\[[^\[\]/\s]+\]|[^\[\]:/\s]+):([0-9]{1,5})")
_COMPRESSIONS = {
    "none": grpc.Compression.NoCompression,
    "deflate": grpc.Compression.Deflate,
    "gzip": grpc.Compression.Gzip,
}


@dataclass(frozen=True, slots=True)
class ClientTls:
    """PEM, as bytes: the authorities to trust (None: the system's), and the client's own pair.

    Each is the content of a file, not its path. Raises ``TypeError`` for anything else, and
    ``ValueError`` for half a pair.
    """

    authorities: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in ("authorities", "certificate", "key"):
            given = getattr(self, name)
            if not isinstance(given, bytes | None):
                kind = type(given).__name__
                raise TypeError(f"{name}: expected the bytes of a PEM file, got {kind}")
        if (self.certificate is None) != (self.key is None):
            pair = ("certificate", "key")
            missing, given = pair if self.certificate is None else reversed(pair)
            raise ValueError(f"{missing}: expected that of the {given}, got None")


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """With ``tls`` the connection is encrypted; ``token`` is shown with each call.

    A token goes to another machine in clear only with ``token_in_clear``. Requests are compressed
    by ``compression``. A service that doesn't answer a ping each ``keepalive_s`` seconds is taken
    for gone (None: none is sent). With more than ``calls_per_connection`` calls at a time there is
    another connection: a service that says nothing else takes 100 on each (``max_streams``). Raises
    ``TypeError`` for a ``tls`` that is no ``ClientTls`` or a ``token`` that is no text, and
    ``ValueError`` for what can't be: a token is visible ASCII, as ``penstock token`` makes it.
    """

    tls: ClientTls | None = None
    token: str | None = field(default=None, repr=False)
    token_in_clear: bool = False
    compression: Literal["none", "deflate", "gzip"] = "none"
    keepalive_s: float | None = 20.0
    calls_per_connection: int = 100

    def __post_init__(self) -> None:
        tls: object = self.tls
        if not isinstance(tls, ClientTls | None):
            said = "expected a ClientTls (ClientTls() trusts the system's authorities)"
            raise TypeError(f"tls: {said}, got {tls!r}")
        token: object = self.token
        if not isinstance(token, str | None):
            raise TypeError(f"token: expected a text, got {type(token).__name__}")
        if self.token is not None and not can_be_token(self.token):
            around = " with some around it: strip it" if can_be_token(self.token.strip()) else ""
            raise ValueError(f"token: expected visible ASCII without blanks, got a text{around}")
        if self.compression not in _COMPRESSIONS:
            known = ", ".join(_COMPRESSIONS)
            raise ValueError(f"compression: expected one of {known}, got {self.compression!r}")
        if self.keepalive_s is not None and not self.keepalive_s > 0:
            raise ValueError(f"keepalive_s: expected more than 0, got {self.keepalive_s!r}")
        if self.calls_per_connection < 1:
            found = self.calls_per_connection
            raise ValueError(f"calls_per_connection: expected 1 or more, got {found!r}")

    def check(self, target: str) -> None:
        """Raises ``TypeError`` for a target that is no text.

        And ``InputError`` for one without a port, or where others would read the token on its way.
        """
        given: object = target
        if not isinstance(given, str):
            raise TypeError(f"target: expected HOST:PORT or unix:PATH as a text, got {target!r}")
        if not _can_be_target(target):
            raise InputError(f"target: expected HOST:PORT or unix:PATH, got {target!r}")
        guarded = self.tls is not None or self.token_in_clear or is_local(target)
        if self.token is not None and not guarded:
            raise InputError(
                f"{target}: a token would go there in clear; give tls, or say token_in_clear=True"
            )

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What each call carries."""
        return () if self.token is None else (("authorization", f"Bearer {self.token}"),)

    @property
    def grpc_compression(self) -> grpc.Compression:
        return _COMPRESSIONS[self.compression]


def _can_be_target(target: str) -> bool:
    """Whether it says all of where to go: gRPC would add the port of HTTPS to a host alone."""
    if _PORTLESS.fullmatch(target):
        return True
    addresses = unquote(_BEFORE_ADDRESSES.sub("", target))
    found = [_HOST_AND_PORT.fullmatch(address) for address in addresses.split(",")]
    return all(match is not None and 0 < int(match[2]) <= 65_535 for match in found)


def is_local(target: str) -> bool:
    """Whether a target is this machine, by its text: names other than localhost may be anything."""
    if target.startswith(UNIX):
        return True
    host = target.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
