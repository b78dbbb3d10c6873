"""Whoever is killed, at whatever moment: nothing that belongs to a session stays behind.

A real service, real processes, SIGKILL. That all is gone within a second is what is promised;
the bound here is wider, for machines that are busy.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from served import serving

from penstock.client import Client, Stream
from penstock.data import Text
from penstock.errors import ServiceError
from penstock.testing.processes import Process
from penstock.testing.tree import ProcessTree

NODES = Path(__file__).with_name("orphan_nodes.py")
GONE_S = 5.0
WHERE = ("setup", "process", "full", "flush", "teardown")

pytestmark = pytest.mark.alone  # a service that started would sweep what is to go by itself


class Struck:
    """A service with one session that has got to where it is to be struck."""

    def __init__(self, client: Client, service: int) -> None:
        self.client = client
        self.tree = ProcessTree(service)
        self.service = service

    def find(self, *names: str) -> list[int]:
        """The processes of those names, those that wait for another session among them."""
        return [process.pid for process in self.tree.look() if process.name in names]

    def kill(self, *pids: int, number: int = signal.SIGKILL) -> None:
        """Kill them. A host that waits for a session may end by itself before it is reached."""
        self.tree.look()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def left(self, stays: Callable[[Process], bool] = lambda _: False) -> list[str]:
        return [str(process) for process in self.tree.remaining(GONE_S, stays)]

    async def still_serves(self) -> None:
        manifest = {"version": "v1", "nodes": [{"id": "e", "node_type": "EchoNode"}]}
        outcome = await self.client.execute(manifest, {"e": Text("hello")})
        assert [output.value for output in outcome.outputs] == [Text("hello")]


@contextlib.asynccontextmanager
async def struck(where: str, tmp_path: Path) -> AsyncIterator[Struck]:
    """A session in the state ``where``."""
    pipe = tmp_path / "reached"
    os.mkfifo(pipe)
    with serving("--bind", "127.0.0.1:0", "--nodes", str(NODES)) as (process, address):
        async with Client(address) as client, asyncio.TaskGroup() as group:
            going = group.create_task(session(client, where, pipe))
            reached = await asyncio.to_thread(pipe.read_text)
            assert reached == ("process" if where == "full" else where)
            yield Struck(client, process.pid)
            going.cancel()


async def session(client: Client, where: str, pipe: Path) -> None:
    """Bring a session where it is to be struck, and leave it there."""
    when = "process" if where == "full" else where
    manifest = {
        "version": "v1",
        "metadata": {"name": "struck", "multiprocess": {"channel_capacity": 2}},
        "nodes": [
            {"id": "pass", "node_type": "PassThrough"},
            {"id": "echo", "node_type": "EchoNode"},
            {"id": "stuck", "node_type": "stuck", "params": {"when": when, "path": str(pipe)}},
        ],
        "connections": [{"from": "pass", "to": "echo"}, {"from": "echo", "to": "stuck"}],
    }
    with contextlib.suppress(ServiceError):
        async with client.stream(manifest) as stream:
            await feed(stream, 1_000 if where == "full" else 1)
            if where in ("flush", "teardown"):
                await stream.close()
            async for _ in stream.outputs():
                pass


async def feed(stream: Stream, inputs: int) -> None:
    for _ in range(inputs):
        await stream.send("pass", Text("x"))


@pytest.mark.parametrize("where", WHERE)
async def test_a_killed_service_leaves_nothing(where: str, tmp_path: Path) -> None:
    async with struck(where, tmp_path) as at:
        assert len(at.tree.look()) >= 9  # zygote, supervisors, hosts, two nodes, their children
        at.kill(at.service)
        assert at.left() == []


@pytest.mark.parametrize("stopped", ["penstock-super", "penstock-host", "pn:stuck"])
async def test_nor_where_one_of_them_does_not_run(stopped: str, tmp_path: Path) -> None:
    async with struck("process", tmp_path) as at:
        at.kill(*at.find(stopped), number=signal.SIGSTOP)
        at.kill(at.service)
        assert at.left() == []


@pytest.mark.parametrize("where", ["setup", "process"])
async def test_a_service_killed_with_its_zygote_leaves_nothing(where: str, tmp_path: Path) -> None:
    """Its supervisors are enough."""
    async with struck(where, tmp_path) as at:
        at.kill(at.service, *at.find("penstock-zygote"))
        assert at.left() == []


SESSION = ("penstock-super", "penstock-host", "pn:echo", "pn:stuck")


@pytest.mark.parametrize(
    "victims",
    [
        ("pn:echo",),
        ("pn:stuck",),
        ("penstock-host",),
        ("penstock-super",),
        ("penstock-super", "pn:stuck"),
        SESSION,
        ("penstock-zygote", *SESSION),
    ],
)
async def test_what_is_killed_below_the_service_takes_its_session_along(
    victims: tuple[str, ...], tmp_path: Path
) -> None:
    async with struck("process", tmp_path) as at:
        gone = {*at.find("pn:echo", "pn:stuck"), *at.find(*victims)}
        assert len(gone) >= 4  # the stuck node's child and grandchild have its name
        at.kill(*at.find(*victims))
        assert at.left(lambda one: one.pid not in gone) == []
        await at.still_serves()
        assert [one for one in at.tree.look() if one.is_zombie and one.parent == at.service] == []


async def test_a_session_outlives_its_zygote_and_what_it_leaves_then_falls_to_the_service(
    tmp_path: Path,
) -> None:
    async with struck("process", tmp_path) as at:
        at.kill(*at.find("penstock-zygote"))
        await at.still_serves()
        stuck = at.find("pn:stuck")
        assert len(stuck) >= 2  # the node, its child and its grandchild
        at.kill(*at.find("penstock-super"))
        assert at.left(lambda one: one.pid not in stuck) == []
        await at.still_serves()
