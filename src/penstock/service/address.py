"""Where the service listens: ``HOST:PORT`` or ``unix:PATH``."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

from penstock.errors import ConfigurationError, Fault

UNIX = "unix:"
MAX_SOCKET_PATH = 107
"""Bytes that Linux has for a socket's path."""


@dataclass(frozen=True, slots=True)
class Address:
    """``text`` is what clients are told; ``socket_path`` is set where that is a file."""

    text: str
    socket_path: Path | None = None

    @property
    def is_local(self) -> bool:
        """Whether only programs of this machine can reach it; raises as ``hosts`` does."""
        return all(found.is_loopback for found in self.hosts())

    @property
    def port(self) -> int | None:
        """The TCP port, where it is one."""
        return None if self.socket_path is not None else int(self.text.rpartition(":")[2])

    def hosts(self) -> list[IPv4Address | IPv6Address]:
        """What the host stands for, none where it is a file; names are looked up.

        Raises ``ConfigurationError`` for one that stands for no address.
        """
        if self.socket_path is not None:
            return []
        return [ip_address(end[0].partition("%")[0]) for _, end in _looked_up(self, _host(self))]

    def at_port(self, port: int) -> Address:
        """The address as clients use it, with the port that was really bound."""
        if self.socket_path is not None:
            return self
        return Address(f"{self.text.rpartition(':')[0]}:{port}")


def parse_address(bind: str) -> Address:
    """Raises ``ConfigurationError`` for what is neither ``HOST:PORT`` nor ``unix:PATH``."""
    if bind.startswith(UNIX):
        return _unix_address(bind)
    host, colon, port = bind.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not host or (":" in host and not bracketed):
        raise refused(bind, "must be HOST:PORT or unix:PATH")
    if not (port.isascii() and port.isdecimal() and int(port) <= 65_535):
        raise refused(bind, f"the port must be 0 to 65535, got {port!r}")
    return Address(bind)


def _unix_address(bind: str) -> Address:
    path = bind.removeprefix(UNIX)
    if not path or "\0" in path:
        raise refused(bind, "needs a path after 'unix:'")
    absolute = Path(path).absolute()
    if len(bytes(absolute)) > MAX_SOCKET_PATH:
        raise refused(bind, f"a socket's path has at most {MAX_SOCKET_PATH} bytes")
    return Address(f"{UNIX}{absolute}", absolute)


def check_is_safe(address: Address, *, encrypted: bool) -> None:
    """Raises ``ConfigurationError`` for an address that others can reach without encryption."""
    if not (encrypted or address.is_local):
        raise refused(
            address.text,
            "other machines could read what goes over it; set [service.tls], listen on a loopback "
            "address or a Unix socket, or say --insecure",
        )


def clear_socket_path(path: Path) -> None:
    """Remove a socket that a dead service left.

    Raises ``ConfigurationError`` where a living one listens, or the file is no socket.
    """
    if not os.path.exists(path):  # nor may it be looked at: who binds it is told why
        return
    check_socket_path(path)
    if not is_dead_socket(path):
        raise refused(f"{UNIX}{path}", "another service listens there")
    path.unlink(missing_ok=True)


def check_socket_path(path: Path) -> None:
    """Raises ``ConfigurationError`` for a file that is there and no socket."""
    if os.path.exists(path) and not path.is_socket():
        raise refused(f"{UNIX}{path}", "there is a file that is no socket")


def is_dead_socket(path: Path) -> bool:
    """Whether a socket is there that nobody listens at."""
    if not path.is_socket():
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return True
    return False


def check_can_be_bound(address: Address) -> None:
    """Raises ``ConfigurationError`` for an address that nobody can bind here, taken or not."""
    if address.socket_path is not None:
        check_socket_path(address.socket_path)
    why = why_not_bound(address)
    if why is not None and why.errno != errno.EADDRINUSE:
        raise cannot_be_bound(address, why)


def cannot_be_bound(address: Address, why: OSError | None) -> ConfigurationError:
    """What the operator is told: the system's words, where there are any."""
    said = "" if why is None else f": {why.strerror}"
    taken = why is None or why.errno == errno.EADDRINUSE
    return refused(
        address.text,
        f"can't be bound{said}{'; is another service there?' if taken else ''}",
    )


def why_not_bound(address: Address) -> OSError | None:
    """What the system says to who binds an address; None where it can be bound.

    It is tried, and let go again. Raises ``ConfigurationError`` for a host that stands for no
    address.
    """
    why: OSError | None = None
    for family, end in ends_of(address):
        why = _refusal(family, end)
        if why is None:
            return None
    return why


def ends_of(address: Address) -> list[tuple[int, Any]]:
    """The families and ends that an address stands for; raises ``ConfigurationError`` for none."""
    if address.socket_path is not None:
        return [(socket.AF_UNIX, str(address.socket_path))]
    host = _host(address)
    hosts = [host, "0.0.0.0"] if host == "::" else [host]  # noqa: S104  # as gRPC does without IPv6
    return [found for one in hosts for found in _looked_up(address, one)]


def _host(address: Address) -> str:
    return address.text.rpartition(":")[0].strip("[]")


def _looked_up(address: Address, host: str) -> list[tuple[int, Any]]:
    """The families and ends that a host and the address's port stand for."""
    try:
        found = socket.getaddrinfo(host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        said = getattr(exc, "strerror", None) or "no host has such a name"
        expected = "an IP address of this machine, or a name of one"
        raise refused(address.text, f"the host must be {expected}, got {host!r}: {said}") from exc
    return [(family, end) for family, *_, end in found]


def _refusal(family: int, end: Any) -> OSError | None:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(end)
    except OSError as exc:
        return exc
    if family == socket.AF_UNIX:
        Path(end).unlink(missing_ok=True)
    return None


def refused(bind: str, why: str) -> ConfigurationError:
    return ConfigurationError([Fault("service.bind", f"{bind}: {why}", found=bind)])
