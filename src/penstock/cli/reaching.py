"""How a command reaches a service: over TLS, and with a token that no list of processes shows."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.errors import InputError
from penstock.manifest import can_be_token

if TYPE_CHECKING:
    from penstock.client import ClientOptions, ClientTls

TOKEN = "PENSTOCK_TOKEN"  # noqa: S105  # the variable's name
_OPTIONS = ("tls", "ca", "certificate", "key", "token_file")


def add_reaching(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--address",
        metavar="HOST:PORT|unix:PATH",
        help="ask a running service, which knows what is free; implies --limits",
    )
    parser.add_argument(
        "--tls", action="store_true", help="encrypt; trust the system's authorities, or --ca"
    )
    parser.add_argument(
        "--ca", metavar="FILE", type=Path, help="authorities to trust, in PEM; implies --tls"
    )
    parser.add_argument(
        "--certificate", metavar="FILE", type=Path, help="to show to the service, in PEM"
    )
    parser.add_argument("--key", metavar="FILE", type=Path, help="that of --certificate")
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        type=Path,
        help=f"has the token to show (default: what is in ${TOKEN}, if anything)",
    )


def client_options(arguments: argparse.Namespace) -> ClientOptions:
    """What the arguments, and the environment, say of the connection.

    Raises ``InputError`` for a file that can't be read, and for a token that would go to another
    machine in clear.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # read at import; what fails, we say ourselves
    from penstock.client import ClientOptions  # noqa: PLC0415  # gRPC
    from penstock.client.options import is_local  # noqa: PLC0415  # the same

    tls, token = _tls(arguments), _token(arguments.token_file)
    if token is not None and tls is None and not is_local(arguments.address):
        raise InputError(f"{arguments.address}: a token would go there in clear; say --tls or --ca")
    return ClientOptions(tls=tls, token=token)


def refuse_without_address(arguments: argparse.Namespace) -> None:
    """Raises ``InputError`` for options of a connection where there is none."""
    for name in _OPTIONS:
        if getattr(arguments, name):
            raise InputError(f"--{name.replace('_', '-')} is for --address")


def _tls(arguments: argparse.Namespace) -> ClientTls | None:
    from penstock.client import ClientTls  # noqa: PLC0415  # gRPC

    ca, certificate, key = arguments.ca, arguments.certificate, arguments.key
    if (certificate is None) != (key is None):
        raise InputError("--certificate and --key go together")
    if not (arguments.tls or ca or certificate):
        return None
    return ClientTls(_content(ca), _content(certificate), _content(key))


def _token(path: Path | None) -> str | None:
    """None where there is none; an empty variable is as good as none."""
    said = os.environ.get(TOKEN, "") if path is None else (_content(path) or b"").decode("latin-1")
    token = said.strip()
    if not (token or path):
        return None
    if not can_be_token(token):
        raise InputError(f"{path or f'${TOKEN}'}: expected a token, and nothing else")
    return token


def _content(path: Path | None) -> bytes | None:
    try:
        return None if path is None else path.read_bytes()
    except OSError as exc:
        raise InputError(f"{path} can't be read: {exc.strerror or exc}") from exc
