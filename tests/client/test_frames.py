"""How an attachment's frames are numbered and matched to their answers, without any service."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock.client.frames import LIMITS, Frames
from penstock.errors import InputError, SessionClosedError, UnknownNodeError
from penstock.session import NodeState
from penstock.wire import control_frames as wire
from penstock.wire.control import refused
from penstock.wire.v1 import control_pb2 as pb


def begun(work: Any) -> asyncio.Task[Any]:
    return asyncio.create_task(work)


async def turn() -> None:
    """Let whoever is ready go on, to the next thing that it waits for."""
    for _ in range(5):
        await asyncio.sleep(0)


def acknowledged(number: int, **facts: Any) -> pb.Acknowledged:
    return pb.Acknowledged(frame=number, **facts)


async def test_answers_find_who_asked_in_whatever_order_they_come() -> None:
    frames = Frames()
    asking = [begun(frames.ask(wire.interrupt(f"n{number}"))) for number in range(3)]
    await turn()
    written = [await frames.take() for _ in range(3)]
    assert written == [wire.interrupt(f"n{number}") for number in range(3)]
    for number in (2, 3, 1):
        frames.acknowledge(acknowledged(number, epoch=10 * number))
    assert [(await task).epoch for task in asking] == [10, 20, 30]
    assert frames.acknowledge(acknowledged(1)) is None
    assert frames.acknowledge(acknowledged(9)) is None


async def test_a_refusal_is_told_to_who_asked_it() -> None:
    frames = Frames()
    asking = [begun(frames.ask(wire.subscribe(name), name)) for name in ("x", "y")]
    await turn()
    assert [await frames.take() for _ in range(2)]
    error = refused(UnknownNodeError("y", ["n0"]), None, 2).error
    assert frames.refuse(error)
    assert not frames.refuse(error)
    assert not frames.refuse(refused(InputError("an output"), None).error)
    frames.acknowledge(acknowledged(1))
    await asking[0]
    with pytest.raises(UnknownNodeError) as caught:
        await asking[1]
    assert (caught.value.found, caught.value.known) == ("y", ("n0",))


async def test_who_gives_up_is_taken_back_where_it_is_not_written_and_counts_where_it_is() -> None:
    frames = Frames()
    asking = [begun(frames.ask(wire.interrupt(f"n{number}"))) for number in range(4)]
    await turn()
    assert await frames.take() == wire.interrupt("n0")
    asking[0].cancel()
    asking[1].cancel()
    await turn()
    assert await frames.take() == wire.interrupt("n2")
    assert await frames.take() == wire.interrupt("n3")
    frames.acknowledge(acknowledged(1))  # for nobody
    frames.acknowledge(acknowledged(3, epoch=3))
    frames.acknowledge(acknowledged(2, epoch=2))
    assert [(await task).epoch for task in asking[2:]] == [2, 3]


async def test_what_is_surely_to_be_done_is_done_without_who_asked() -> None:
    frames = Frames()
    asking = begun(frames.ask(wire.unsubscribe("n0"), surely=True))
    await turn()
    asking.cancel()
    await turn()
    assert await frames.take() == wire.unsubscribe("n0")
    asked = frames.acknowledge(acknowledged(1))
    assert asked is not None
    assert asked.frame == wire.unsubscribe("n0")


async def test_what_is_told_waits_once() -> None:
    frames = Frames()
    for _ in range(100):
        frames.tell(wire.unsubscribe("n0"))
    frames.tell(wire.unsubscribe("n1"))
    assert [await frames.take() for _ in range(2)] == [
        wire.unsubscribe("n0"), wire.unsubscribe("n1")
    ]  # fmt: skip
    taking = begun(frames.take())
    await turn()
    assert not taking.done()
    frames.refuse(refused(InputError("no"), None, 1).error)  # nobody minds
    frames.finish()
    assert await taking is None


async def test_a_kind_with_many_answers_outstanding_lets_others_go_first() -> None:
    frames, many = Frames(), LIMITS["set_node_state"]
    state = wire.set_state("n0", NodeState.BYPASS)
    asking = [begun(frames.ask(state)) for _ in range(many + 1)]
    verdict = begun(frames.ask(wire.drop(7)))
    await turn()
    assert [await frames.take() for _ in range(many)] == [state] * many
    assert await frames.take() == wire.drop(7)
    taking = begun(frames.take())
    await turn()
    assert not taking.done()
    asking[0].cancel()  # whose answer is still to come
    await turn()
    assert not taking.done()
    frames.acknowledge(acknowledged(1))
    assert await taking == state
    frames.end(SessionClosedError("over"))
    for task in (*asking[1:], verdict):
        with pytest.raises(SessionClosedError, match="over"):
            await task
    assert await frames.take() is None
