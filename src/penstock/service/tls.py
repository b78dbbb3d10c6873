"""The service's certificate: read from files, and again when those change."""

from __future__ import annotations

import logging
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from penstock.errors import ConfigurationError, Fault
from penstock.manifest import TlsSettings

_log = logging.getLogger(__name__)
_Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class _Pair:
    """What the files held, checked: the key is the certificate's."""

    key: bytes
    chain: bytes
    client_ca: bytes | None

    @property
    def configuration(self) -> Any:
        return grpc.ssl_server_certificate_configuration([(self.key, self.chain)], self.client_ca)


class Certificate:
    """What new connections are shown; raises ``ConfigurationError`` for files that are no pair."""

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings
        self._fault = ""
        try:
            self._seen = self._stamp()
            self._pair = self._read()
        except (OSError, ssl.SSLError, ValueError) as exc:
            raise ConfigurationError([Fault("service.tls", _said(exc))]) from exc

    def credentials(self) -> grpc.ServerCredentials:
        """For one port of a server. A new pair holds for the connections that come after it."""
        return grpc.dynamic_ssl_server_credentials(
            self._pair.configuration,
            self._changed,
            require_client_authentication=self._settings.client_ca is not None,
        )

    def _changed(self) -> Any:
        """Asked by gRPC for each handshake: the new pair, or None where there is none.

        A pair that can't be read is tried again at the next: why may pass without a change of the
        files. It is told once.
        """
        try:
            stamp = self._stamp()
            if stamp == self._seen:
                return None
            self._pair = self._read()
        except (OSError, ssl.SSLError, ValueError) as exc:
            if self._fault != (fault := _said(exc)):
                _log.error("the certificate stays as it was: %s", fault)
            self._fault = fault
            return None
        self._seen, self._fault = stamp, ""
        _log.info("the certificate has been read again from %s", self._settings.certificate)
        return self._pair.configuration

    def _read(self) -> _Pair:
        settings = self._settings
        pair = _Pair(  # first, as ssl doesn't say which file it can't read
            Path(settings.key).read_bytes(),
            Path(settings.certificate).read_bytes(),
            Path(settings.client_ca).read_bytes() if settings.client_ca is not None else None,
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings.certificate, settings.key, password=_no_password)
        if settings.client_ca is not None:
            _load_authorities(context, settings.client_ca)
        return pair

    def _stamp(self) -> _Stamp:
        files = (self._settings.certificate, self._settings.key, self._settings.client_ca)
        found = [os.stat(file) for file in files if file is not None]
        return tuple((one.st_ino, one.st_mtime_ns, one.st_size) for one in found)


def _load_authorities(context: ssl.SSLContext, path: str) -> None:
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as exc:
        raise ValueError(f"client_ca: expected certificates, in PEM: {exc.reason or exc}") from exc


def _no_password() -> str:
    raise ValueError("the key is encrypted: the service has nobody to ask for its password")


def _said(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"expected a certificate and its key, in PEM: {error.reason or error}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename} can't be read: {error.strerror}"
    return str(error)
