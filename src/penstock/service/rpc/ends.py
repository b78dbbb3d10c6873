"""Who is at the other end of a connection."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from urllib.parse import quote


def other_end(sock: socket.socket) -> tuple[str, str]:
    """The address of the other end, and all of it as gRPC writes it."""
    try:
        name = sock.getpeername()
    except OSError:  # it has left already
        name = ""
    if not isinstance(name, tuple):
        return "", "unix:"
    host, port = name[:2]
    plain = host.removeprefix("::ffff:")  # IPv4 by a socket of IPv6
    if ":" in plain:
        return plain.partition("%")[0], "ipv6:" + quote(f"[{plain}]:{port}", safe=":")
    return plain, f"ipv4:{plain}:{port}"


def identity(transport: asyncio.BaseTransport) -> Mapping[str, Sequence[bytes]]:
    """What a client's certificate says of it."""
    found = transport.get_extra_info("ssl_object")
    certificate = None if found is None else found.getpeercert()
    subject = () if not certificate else certificate.get("subject", ())
    names = [value.encode() for part in subject for key, value in part if key == "commonName"]
    return {"x509_common_name": names} if names else {}


def let_go(transport: asyncio.BaseTransport) -> None:
    """Have what is over be freed at once, and not by a garbage collection.

    asyncio's transport for sockets refers to itself by the method that it reads with. Thousands of
    these, from clients that come and go, would have all that there is looked through again and
    again, which stops everything for a tenth of a second.
    """
    if hasattr(transport, "_read_ready_cb"):
        transport._read_ready_cb = None
