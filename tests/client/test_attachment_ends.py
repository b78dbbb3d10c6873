"""What attachments of the client end by: nobody is left waiting, and each is told why."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "service"))
sys.path.insert(0, str(Path(__file__).parents[1] / "cli"))

from attaching import HOUR_S, MIXED, NODES, Hold, Talking
from served import serving
from wire_client import calls_ended

from penstock.client import Attachment, Client, ClientOptions
from penstock.data import Json, Text
from penstock.errors import (
    NodeAddressError,
    PenstockError,
    ServiceError,
    SessionCancelledError,
    SessionClosedError,
)
from penstock.manifest import ServiceSettings, Settings, digest_of, new_token
from penstock.nodes import Catalogue
from penstock.service import running
from penstock.session import NodeState
from penstock.wire.v1 import control_pb2 as pb

CATALOGUE = Catalogue.installed().extended(*NODES)


@pytest.fixture
def catalogue() -> Catalogue:
    return CATALOGUE


class Waiting:
    """Somebody waits for everything that there is to wait for."""

    async def begin(self, attachment: Attachment, node_id: str) -> None:
        tap, intercept = await attachment.tap(node_id), await attachment.intercept(node_id, HOUR_S)
        self.iterating = [
            asyncio.create_task(collected(tap)),
            asyncio.create_task(collected(intercept)),
        ]
        self.over = asyncio.create_task(attachment.until_over())
        await asyncio.sleep(0)

    async def ended(self) -> None:
        """The session is over: all of them end."""
        await self.over
        assert await asyncio.gather(*self.iterating) == [[], []]

    async def broke(self, error_type: str) -> None:
        for task in (self.over, *self.iterating):
            with pytest.raises(ServiceError) as caught:
                await task
            assert caught.value.error_type == error_type


async def collected(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]


def everything(attachment: Attachment) -> list[Callable[[], Awaitable[Any]]]:
    return [
        lambda: attachment.tap("n0"),
        lambda: attachment.intercept("n0"),
        lambda: attachment.publish("n0", "x"),
        lambda: attachment.set_state("n0", NodeState.BYPASS),
        lambda: attachment.interrupt("n0"),
    ]


async def test_a_session_that_is_complete(client: Client) -> None:
    async with Talking(client, *MIXED) as talk, client.attach(talk.session_id) as attachment:
        waiting = Waiting()
        await waiting.begin(attachment, "n1")
        tap = await attachment.tap("n2")
        await attachment.publish("n2", "x")
        assert await talk.heard() == "xb"
        assert await talk.finish() == []
        await waiting.ended()
        assert [event.value async for event in tap] == [Text("xb")]  # it can still be read
        for _ in range(2):
            await tap.aclose()
            for ask in everything(attachment):
                with pytest.raises(SessionClosedError, match="the session has ended"):
                    await ask()


async def test_a_session_that_its_client_ends_early(client: Client) -> None:
    async with Talking(client, *MIXED) as talk, client.attach(talk.session_id) as attachment:
        waiting = Waiting()
        await waiting.begin(attachment, "n1")
        await talk.stream.cancel()
        await waiting.ended()
        for ask in everything(attachment):
            with pytest.raises(SessionCancelledError, match="cancelled by the client") as caught:
                await ask()
            assert caught.value.reason == "cancelled by the client"


async def test_a_session_that_fails(client: Client) -> None:
    async with (
        Talking(client, "adds_a", "dies_on_second") as talk,
        client.attach(talk.session_id) as attachment,
    ):
        waiting = Waiting()
        await waiting.begin(attachment, "n0")
        await attachment.publish("n1", "die")
        await waiting.ended()
        for ask in everything(attachment):
            with pytest.raises(ServiceError, match="exited with code 3") as caught:
                await ask()
            assert (caught.value.error_type, caught.value.node_id) == ("NODE_EXECUTION", "n1")
            assert json.loads(caught.value.context)["exit_code"] == 3


async def test_who_waits_for_an_answer_when_the_session_fails(client: Client, hold: Hold) -> None:
    async with (
        Talking(client, "holds", "dies_on_second") as talk,
        client.attach(talk.session_id) as attachment,
    ):
        assert await talk.said(hold.path) == "held"
        asking = [asyncio.create_task(attachment.tap("n0")) for _ in range(40)]
        await attachment.publish("n1", "die")
        for task in asking:
            with pytest.raises(ServiceError, match="exited with code 3"):
                await task


async def test_who_asks_on_and_on_as_the_session_ends_hears_why_all_the_same(
    client: Client,
) -> None:
    """A write that meets the end of its call makes gRPC forget what it has read."""
    for _ in range(10):
        async with (
            Talking(client, "adds_a", "dies_on_second") as talk,
            client.attach(talk.session_id) as attachment,
        ):
            asking = [asyncio.create_task(ask_for_ever(attachment)) for _ in range(10)]
            await attachment.publish("n1", "die")
            for task in asking:
                with pytest.raises(ServiceError, match="exited with code 3"):
                    await task


async def ask_for_ever(attachment: Attachment) -> None:
    while True:
        await attachment.set_state("n0", NodeState.ENABLED)
        await (await attachment.tap("n0")).aclose()


@pytest.mark.parametrize("other", ["swallows", "swallows_natively"])
async def test_a_node_that_has_finished_while_its_session_runs(
    client: Client, hold: Hold, other: str
) -> None:
    """Nothing more comes of it, and who asks something of it is answered."""
    names = {"n0": "holds", "n1": other}
    nodes = [{"id": name, "node_type": kind} for name, kind in names.items()]
    async with client.stream({"version": "v1", "nodes": nodes}) as stream:
        outputs = stream.outputs()
        await stream.send("n0", hold.path)
        assert (await anext(outputs)).value == Text("held")
        async with client.attach(stream.session_id) as attachment:
            await stream.close()
            with pytest.raises(NodeAddressError, match="has come to its end"):
                await publish_for_ever(attachment, "n1")  # it ends soon, though not at once
            waiting = Waiting()
            await waiting.begin(attachment, "n1")
            await attachment.set_state("n1", NodeState.BYPASS)
            hold.release()
            await waiting.ended()


async def publish_for_ever(attachment: Attachment, node_id: str) -> None:
    while True:
        await attachment.publish(node_id, Json(1))


async def test_a_session_that_there_is_not(client: Client) -> None:
    attachment = client.attach("nobody")
    with pytest.raises(ServiceError, match="session 'nobody' not found") as caught:
        async with attachment:
            pytest.fail("it was opened")
    assert caught.value.error_type == "NOT_FOUND"
    with pytest.raises(PenstockError):
        await attachment.tap("n0")


async def test_a_time_limit_of_the_whole(client: Client) -> None:
    async with Talking(client, *MIXED) as talk:
        async with client.attach(talk.session_id, timeout_s=1.0) as attachment:
            waiting = Waiting()
            await waiting.begin(attachment, "n1")
            await waiting.broke("DEADLINE_EXCEEDED")
            with pytest.raises(ServiceError):
                await attachment.tap("n1")
        assert await talk.said("x") == "xab"


async def test_a_connection_that_is_given_up(client: Client, hold: Hold) -> None:
    """The stream is on another: else its end may be told first."""
    async with AsyncExitStack() as stack:
        talk = await stack.enter_async_context(Talking(client, "holds", "adds_b"))
        watcher = Client(client.target)
        attachment = await stack.enter_async_context(watcher.attach(talk.session_id))
        waiting = Waiting()
        await waiting.begin(attachment, "n0")
        asking = [asyncio.create_task(attachment.intercept("n1")) for _ in range(3)]
        await asyncio.sleep(0)
        await watcher.aclose()
        await waiting.broke("CANCELLED")
        for task in asking:
            with pytest.raises(ServiceError, match="given up"):
                await task


async def test_a_token_that_is_not_known(tmp_path: Path) -> None:
    token = new_token()
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(f'[tokens.robot]\nsha256 = "{digest_of(token)}"\n')
    tokens.chmod(0o600)
    settings = Settings(service=ServiceSettings(tokens=str(tokens)))
    async with (
        running(settings, "127.0.0.1:0", CATALOGUE) as address,
        Client(address, ClientOptions(token=token)) as known,
        Client(address, ClientOptions(token=new_token())) as unknown,
        Talking(known, *MIXED) as talk,
    ):
        async with known.attach(talk.session_id) as attachment:
            await attachment.tap("n0")
        with pytest.raises(ServiceError) as caught:
            async with unknown.attach(talk.session_id):
                pytest.fail("it was opened")
        assert caught.value.error_type == "UNAUTHENTICATED"
    await calls_ended()


async def test_a_service_that_stops() -> None:
    async with AsyncExitStack() as stack:
        async with running(Settings(), "127.0.0.1:0", CATALOGUE) as address:
            client = await stack.enter_async_context(Client(address))
            talk = await stack.enter_async_context(Talking(client, *MIXED))
            attachment = await stack.enter_async_context(client.attach(talk.session_id))
            waiting = Waiting()
            await waiting.begin(attachment, "n1")
        await waiting.ended()
        with pytest.raises(ServiceError, match="the service is stopping"):
            await attachment.tap("n0")
    await calls_ended()


async def test_a_service_that_dies() -> None:
    nodes = [word for name in NODES for word in ("--nodes", name)]
    with serving("--bind", "127.0.0.1:0", *nodes) as (process, address):
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(Client(address))
            talk = await stack.enter_async_context(Talking(client, "EchoNode", channel_capacity=1))
            attachment = await stack.enter_async_context(client.attach(talk.session_id))
            waiting = Waiting()
            await waiting.begin(attachment, "n0")
            publishing = [asyncio.create_task(attachment.publish("n0", "x")) for _ in range(9)]
            process.send_signal(signal.SIGKILL)
            with pytest.raises(ServiceError) as caught:
                await publishing[-1]
            assert caught.value.error_type == "UNAVAILABLE"
            with pytest.raises(ServiceError):
                await waiting.over
            for task in (*waiting.iterating, *publishing):
                await asyncio.wait([task])
                assert isinstance(task.exception(), ServiceError | None)
            with pytest.raises(ServiceError):
                await attachment.tap("n0")
    await calls_ended()


async def other_service(attached: pb.Attached | None) -> tuple[grpc.aio.Server, str]:
    """One that greets like that, or not at all, and answers nothing."""

    async def attach(frames: AsyncIterator[pb.ControlFrame], context: Any) -> None:
        async for _ in frames:
            if attached is not None:
                await context.write(pb.ControlEvent(attached=attached))

    handler = grpc.stream_stream_rpc_method_handler(
        attach,
        request_deserializer=pb.ControlFrame.FromString,
        response_serializer=pb.ControlEvent.SerializeToString,
    )
    server = grpc.aio.server()
    name = "remotemedia.v1.PipelineControl"
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(name, {"Attach": handler})]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, f"127.0.0.1:{port}"


async def test_a_service_that_does_not_answer_frames() -> None:
    server, address = await other_service(pb.Attached(session_id="s"))
    async with Client(address) as client:
        with pytest.raises(ServiceError, match="doesn't answer frames") as caught:
            async with client.attach("s"):
                pytest.fail("it was opened")
        assert caught.value.error_type == "UNIMPLEMENTED"
    await server.stop(None)
    await calls_ended()


async def test_a_service_that_says_nothing() -> None:
    server, address = await other_service(None)
    async with Client(address) as client:
        opening = asyncio.create_task(client.attach("s").__aenter__())
        _, pending = await asyncio.wait([opening], timeout=0.1)
        assert pending
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
    await server.stop(None)
    await calls_ended()


async def test_a_service_that_never_lets_go_does_not_keep_who_leaves() -> None:
    server, address = await other_service(pb.Attached(session_id="s", acknowledges=True))
    async with Client(address) as client, client.attach("s") as attachment:
        asking = asyncio.create_task(attachment.tap("n0"))
        await asyncio.sleep(0)
    with pytest.raises(SessionClosedError):
        await asking
    await server.stop(None)
    await calls_ended()
