"""Encryption: certificates of the service and of its clients, renewed without a restart."""

from __future__ import annotations

import logging
from asyncio.sslproto import SSLProtocol
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import grpc
import pytest
from certificates import Authority, Pair
from shortage import no_descriptors
from wire_client import calls_ended

from penstock.errors import ConfigurationError
from penstock.manifest import ServiceSettings, Settings, TlsSettings
from penstock.nodes import Catalogue
from penstock.service import running
from penstock.service.address import check_is_safe, parse_address
from penstock.service.tls import Certificate

OURS = Authority("ours")
VERSION = "/remotemedia.v1.PipelineExecutionService/GetVersion"


def encrypted(folder: Path, pair: Pair, client_ca: Authority | None = None) -> Settings:
    certificate, key = pair.write(folder, "service")
    ca = None if client_ca is None else client_ca.pair.write(folder, "clients")[0]
    tls = TlsSettings(certificate=certificate, key=key, client_ca=ca)
    return Settings(service=ServiceSettings(tls=tls))


async def outcome(call: Awaitable[Any]) -> grpc.StatusCode:
    try:
        await call
    except grpc.aio.AioRpcError as exc:
        return exc.code()
    return grpc.StatusCode.OK


async def asked(address: str, root: Authority, own: Pair | None = None) -> grpc.StatusCode:
    """What a new connection comes to."""
    credentials = grpc.ssl_channel_credentials(
        root.pair.certificate,
        own.key if own else None,
        own.certificate if own else None,
    )
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(address, credentials, options) as channel:
        return await outcome(channel.unary_unary(VERSION)(b"", timeout=10))


async def test_clients_that_trust_it_are_served_and_others_are_not(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    settings = encrypted(tmp_path, OURS.issue("service"))
    async with running(settings, "127.0.0.1:0", catalogue) as address:
        assert await asked(address, OURS) is grpc.StatusCode.OK
        assert await asked(address, Authority("other")) is grpc.StatusCode.UNAVAILABLE
        async with grpc.aio.insecure_channel(address) as channel:
            plain = channel.unary_unary(VERSION)(b"", timeout=10)
            assert await outcome(plain) is grpc.StatusCode.UNAVAILABLE
    await calls_ended()


async def test_a_client_needs_a_certificate_where_an_authority_is_named(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    clients = Authority("clients")
    settings = encrypted(tmp_path, OURS.issue("service"), clients)
    async with running(settings, "127.0.0.1:0", catalogue) as address:
        assert await asked(address, OURS, clients.issue("robot")) is grpc.StatusCode.OK
        assert await asked(address, OURS) is grpc.StatusCode.UNAVAILABLE
        stranger = Authority("other").issue("robot")
        assert await asked(address, OURS, stranger) is grpc.StatusCode.UNAVAILABLE
    await calls_ended()


async def test_a_new_certificate_holds_for_new_connections(
    tmp_path: Path, catalogue: Catalogue, caplog: pytest.LogCaptureFixture
) -> None:
    renewed = Authority("renewed")
    settings = encrypted(tmp_path, OURS.issue("service"))
    async with running(settings, "127.0.0.1:0", catalogue) as address:
        credentials = grpc.ssl_channel_credentials(OURS.pair.certificate)
        async with grpc.aio.secure_channel(address, credentials) as old:
            assert await outcome(old.unary_unary(VERSION)(b"")) is grpc.StatusCode.OK
            renewed.issue("service").write(tmp_path, "service")
            assert await asked(address, renewed) is grpc.StatusCode.OK
            assert await asked(address, OURS) is grpc.StatusCode.UNAVAILABLE
            assert await outcome(old.unary_unary(VERSION)(b"")) is grpc.StatusCode.OK
        with caplog.at_level(logging.ERROR):
            Pair(b"rubbish", b"rubbish").write(tmp_path, "service")
            assert await asked(address, renewed) is grpc.StatusCode.OK
        assert "the certificate stays as it was" in caplog.text
    await calls_ended()


async def test_new_authorities_of_clients_hold_for_new_connections(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    before, after = Authority("before"), Authority("after")
    old, new = before.issue("robot"), after.issue("robot")
    settings = encrypted(tmp_path, OURS.issue("service"), before)
    async with running(settings, "127.0.0.1:0", catalogue) as address:
        assert await asked(address, OURS, old) is grpc.StatusCode.OK
        assert await asked(address, OURS, new) is grpc.StatusCode.UNAVAILABLE
        after.pair.write(tmp_path, "clients")
        assert await asked(address, OURS, new) is grpc.StatusCode.OK
        assert await asked(address, OURS, old) is grpc.StatusCode.UNAVAILABLE
        assert await asked(address, OURS) is grpc.StatusCode.UNAVAILABLE
    await calls_ended()


def test_a_certificate_that_changes_while_no_descriptor_is_left_is_read_then(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tls = encrypted(tmp_path, OURS.issue("service")).service.tls
    assert tls is not None
    certificate = Certificate(tls)
    before = certificate.current()
    OURS.issue("service").write(tmp_path, "service")
    with no_descriptors():
        assert [certificate.current() for _ in range(3)] == [before] * 3
    renewed = certificate.current()
    assert renewed is not before
    assert certificate.current() is renewed
    assert caplog.text.count("the certificate stays as it was") == 1


async def test_a_key_of_another_certificate_is_refused_at_the_start(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    one, other = OURS.issue("one"), OURS.issue("other")
    settings = encrypted(tmp_path, Pair(one.certificate, other.key))
    with pytest.raises(ConfigurationError, match="expected a certificate and its key"):
        async with running(settings, "127.0.0.1:0", catalogue):
            pass


def test_a_file_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    certificate, _ = OURS.issue("service").write(tmp_path, "service")
    with pytest.raises(ConfigurationError) as caught:
        Certificate(TlsSettings(certificate=certificate, key=str(tmp_path)))
    assert str(caught.value) == f"service.tls: {tmp_path} can't be read: Is a directory"


def test_authorities_that_are_none_are_told_from_the_services_own_pair(tmp_path: Path) -> None:
    certificate, key = OURS.issue("service").write(tmp_path, "service")
    (tmp_path / "clients.pem").write_text("no certificate\n")
    tls = TlsSettings(certificate=certificate, key=key, client_ca=str(tmp_path / "clients.pem"))
    with pytest.raises(ConfigurationError, match=r"service\.tls: client_ca: expected certificates"):
        Certificate(tls)


@pytest.mark.parametrize("bind", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"])
def test_other_machines_are_not_let_near_in_clear(bind: str) -> None:
    address = parse_address(bind)
    with pytest.raises(ConfigurationError, match=r"set \[service.tls\]"):
        check_is_safe(address, encrypted=False)
    check_is_safe(address, encrypted=True)


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "localhost:0", "[::1]:0", "unix:/tmp/x"])
def test_this_machine_is(bind: str) -> None:
    check_is_safe(parse_address(bind), encrypted=False)


def test_each_connection_takes_little(tmp_path: Path) -> None:
    """asyncio has a buffer for each that is encrypted, of 256 KiB unless it is told otherwise."""
    tls = encrypted(tmp_path, OURS.issue("service")).service.tls
    assert tls is not None
    Certificate(tls)
    assert SSLProtocol.max_size <= 64 << 10
