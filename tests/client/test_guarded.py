"""Clients of a service that wants a token, and of one that is encrypted."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "service"))

from certificates import Authority
from wire_client import calls_ended

from penstock.client import BlockingClient, Client, ClientOptions, ClientTls
from penstock.errors import InputError, ServiceError
from penstock.manifest import ServiceSettings, Settings, TlsSettings, digest_of, new_token
from penstock.nodes import Catalogue
from penstock.service import running

ROOT = Path(__file__).parents[2]
TOKEN = new_token()
ECHO: dict[str, Any] = {
    "version": "v1",
    "metadata": {"name": "echo"},
    "nodes": [{"id": "echo", "node_type": "PassThrough"}],
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    authority = Authority("ours")
    certificate, key = authority.issue("service").write(tmp_path, "service")
    client_ca, _ = authority.pair.write(tmp_path, "authority")
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(f'[tokens.robot]\nsha256 = "{digest_of(TOKEN)}"\n')
    tokens.chmod(0o600)
    tls = TlsSettings(certificate=certificate, key=key, client_ca=client_ca)
    robot = authority.issue("robot")
    (tmp_path / "robot.pem").write_bytes(robot.certificate)
    (tmp_path / "robot.key").write_bytes(robot.key)
    return Settings(service=ServiceSettings(tls=tls, tokens=str(tokens)))


@pytest.mark.parametrize("compression", ["none", "gzip", "deflate"])
async def test_a_client_with_everything(
    settings: Settings, tmp_path: Path, compression: Any
) -> None:
    tls = ClientTls(
        (tmp_path / "authority.pem").read_bytes(),  # a few bytes
        (tmp_path / "robot.pem").read_bytes(),  # the same
        (tmp_path / "robot.key").read_bytes(),  # the same
    )
    options = ClientOptions(tls=tls, token=TOKEN, compression=compression)
    assert TOKEN not in repr(options)
    assert "PRIVATE" not in repr(options)
    async with running(settings, "127.0.0.1:0", Catalogue.installed()) as address:
        async with Client(address, options) as client:
            assert (await client.version()).compatible
            async with client.stream(ECHO) as stream:
                await stream.send("echo", "a" * 10_000)
                await stream.close()
                assert len([output async for output in stream.outputs()]) == 1
        async with Client(address, ClientOptions(tls=tls)) as client:
            with pytest.raises(ServiceError) as caught:
                await client.version()
            assert caught.value.error_type == "UNAUTHENTICATED"
            with pytest.raises(ServiceError, match="authorization"):
                async with client.stream(ECHO):
                    pass
    await calls_ended()


async def test_the_guide_s_program(settings: Settings, tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
    [shown] = [block for block in blocks if "ClientTls(" in block]
    shown = shown.replace("examples/", f"{ROOT}/examples/")
    async with running(settings, "127.0.0.1:0", Catalogue.installed()) as address:
        program = shown.replace("penstock.example:50051", address)
        done = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", program),
            cwd=tmp_path,
            env={**os.environ, "PENSTOCK_TOKEN": TOKEN},
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await done.communicate()
    assert (done.returncode, said) == (0, b"Hello, ada!\n")
    await calls_ended()


@pytest.mark.parametrize("name", ["authorities", "certificate", "key"])
@pytest.mark.parametrize("given", ["c.pem", Path("c.pem")])
def test_certificates_are_bytes(name: str, given: Any) -> None:
    with pytest.raises(TypeError, match=rf"^{name}: expected the bytes of a PEM file, got \w+$"):
        ClientTls(**{name: given})


@pytest.mark.parametrize("tls", [True, False, b"PEM"])
def test_tls_has_a_class_of_its_own(tls: Any) -> None:
    with pytest.raises(TypeError, match=r"^tls: expected a ClientTls"):
        ClientOptions(tls=tls)


@pytest.mark.parametrize("certified", [True, False])
async def test_who_can_not_connect_is_told_of_tls(
    settings: Settings, tmp_path: Path, *, certified: bool
) -> None:
    """Without TLS at all, and with it, where the service wants a certificate, too."""
    authorities = (tmp_path / "authority.pem").read_bytes()  # a few bytes
    options = ClientOptions(tls=ClientTls(authorities) if certified else None)
    async with (
        running(settings, "127.0.0.1:0", Catalogue.installed()) as address,
        Client(address, options) as client,
    ):
        for opening in (client.stream(ECHO), client.attach("x")):
            with pytest.raises(ServiceError, match="may want TLS, or a certificate") as caught:
                async with opening:
                    pass
            assert caught.value.error_type == "UNAVAILABLE"
        with pytest.raises(ServiceError, match="may want TLS, or a certificate"):
            await client.version()


async def test_who_wants_tls_of_a_service_without_is_told_so() -> None:
    async with (
        running(Settings(), "127.0.0.1:0", Catalogue.installed()) as address,
        Client(address, ClientOptions(tls=ClientTls())) as client,
    ):
        with pytest.raises(ServiceError, match="may not speak TLS"):
            await client.version()


async def test_where_nobody_is_nothing_is_said_of_tls() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        async with Client(f"127.0.0.1:{free.getsockname()[1]}") as client:
            with pytest.raises(ServiceError, match=r"Connection refused$"):
                await client.version()


@pytest.mark.parametrize("target", ["192.0.2.1:50051", "service.example:50051", "[2001:db8::1]:1"])
def test_a_token_does_not_go_there_in_clear(target: str) -> None:
    with pytest.raises(InputError, match="in clear") as caught:
        Client(target, ClientOptions(token=TOKEN))
    assert TOKEN not in str(caught.value)
    Client(target, ClientOptions(token=TOKEN, token_in_clear=True))
    Client(target, ClientOptions(token=TOKEN, tls=ClientTls()))


@pytest.mark.parametrize("target", ["127.0.0.1:1", "localhost:1", "[::1]:1", "unix:/tmp/x"])
def test_to_this_machine_it_does(target: str) -> None:
    Client(target, ClientOptions(token=TOKEN))


NO_TARGETS = (
    "host host: host:0 host:65536 host:x ::1 ::1:50051 [::1] unix: dns:///host dns:50051 "
    "ipv6:[::1] ipv4:127.0.0.1:1,127.0.0.2 http://host:50051"
)
TARGETS = (
    "host:1 hostdns:1 127.0.0.1:65535 [::1]:1 [fe80::1%25eth0]:1 unix:x unix:///tmp/x "
    "unix-abstract:x dns:host:1 dns:///host:1 dns://10.0.0.1:53/host:1 dns:///[::1]:1 "
    "ipv4:127.0.0.1:1,127.0.0.2:1 ipv6:%5B::1%5D:1 vsock:1:2"
)


@pytest.mark.parametrize("kind", [Client, BlockingClient])
@pytest.mark.parametrize("target", ["", *NO_TARGETS.split()])
def test_where_no_port_is_said_it_is_not_that_of_https(target: str, kind: type[Client]) -> None:
    said = re.escape(f"target: expected HOST:PORT or unix:PATH, got {target!r}")
    with pytest.raises(InputError, match=f"^{said}$"):
        kind(target)


@pytest.mark.parametrize("target", TARGETS.split())
def test_what_says_a_port_or_needs_none_is_a_target(target: str) -> None:
    assert Client(target).target == target


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"token": "abc\n"}, "token: expected visible ASCII without blanks, got a text with some"),
        ({"token": "a b"}, "token: expected visible ASCII without blanks, got a text$"),
        ({"token": "schlüssel"}, "token: expected visible ASCII"),
        ({"token": ""}, "token: expected visible ASCII"),
        ({"compression": "zstd"}, "compression: expected one of none, deflate, gzip, got 'zstd'"),
        ({"keepalive_s": 0}, "keepalive_s: expected more than 0, got 0"),
        ({"keepalive_s": float("nan")}, "keepalive_s: expected more than 0, got nan"),
    ],
)
def test_options_that_can_not_be_are_refused(given: Any, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}") as caught:
        ClientOptions(**given)
    assert "abc" not in str(caught.value)


def test_what_is_no_text_is_none() -> None:
    token: Any = b"pst_secret"
    with pytest.raises(TypeError, match=r"^token: expected a text, got bytes$"):
        ClientOptions(token=token)
    port: Any = 50051
    with pytest.raises(TypeError, match=r"^target: expected HOST:PORT or unix:PATH as a text, got"):
        Client(port)


@pytest.mark.parametrize(
    ("given", "missing"), [({"certificate": b"PEM"}, "key"), ({"key": b"PEM"}, "certificate")]
)
def test_a_certificate_comes_with_its_key(given: Any, missing: str) -> None:
    with pytest.raises(ValueError, match=f"^{missing}: expected that of the"):
        ClientTls(**given)
