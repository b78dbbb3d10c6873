"""The service's certificate: read from files, and again when those change."""

from __future__ import annotations

import logging
import os
import ssl
from asyncio.sslproto import SSLProtocol
from pathlib import Path

from penstock.errors import ConfigurationError, Fault
from penstock.manifest import TlsSettings

_log = logging.getLogger(__name__)
_Stamp = tuple[tuple[int, int, int], ...]
_PROTOCOL = "h2"
"""HTTP/2, as both ends agree on it (ALPN)."""
_BUFFER_BYTES = 64 << 10
"""What asyncio reads at once; each connection has so much of its own, before anybody has spoken."""


class Certificate:
    """What new connections are shown; raises ``ConfigurationError`` for files that are no pair."""

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings
        self._fault = ""
        SSLProtocol.max_size = min(SSLProtocol.max_size, _BUFFER_BYTES)
        try:
            self._seen = self._stamp()
            self._context = self._read()
        except (OSError, ssl.SSLError, ValueError) as exc:
            raise ConfigurationError([Fault("service.tls", _said(exc))]) from exc

    def current(self) -> ssl.SSLContext:
        """What a new connection is encrypted by: asked for each, it costs a look at the files.

        A pair that can't be read is tried again at the next: why may pass without a change of the
        files. It is told once, and what was read last holds.
        """
        try:
            stamp = self._stamp()
            if stamp != self._seen:
                self._context = self._read()
                self._seen, self._fault = stamp, ""
                said = "the certificate has been read again from %s"
                _log.info(said, self._settings.certificate)
        except (OSError, ssl.SSLError, ValueError) as exc:
            if self._fault != (fault := _said(exc)):
                _log.error("the certificate stays as it was: %s", fault)
            self._fault = fault
        return self._context

    def _read(self) -> ssl.SSLContext:
        settings = self._settings
        for path in (settings.key, settings.certificate, settings.client_ca):
            if path is not None:
                Path(path).read_bytes()  # first, as ssl doesn't say which file it can't read
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols([_PROTOCOL])
        context.load_cert_chain(settings.certificate, settings.key, password=_no_password)
        if settings.client_ca is not None:
            _load_authorities(context, settings.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

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
