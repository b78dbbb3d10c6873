"""Carries an errand out, as a client of the service would."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from time import perf_counter

from bench.storm.errands import Errand, Way
from bench.storm.nodes import IN_PROCESS
from bench.storm.strikes import Moment, Victim
from penstock.client import Client, Stream
from penstock.data import Binary
from penstock.errors import PenstockError
from penstock.session import NodeProgress, Output

HUNG_S = 20.0
"""A call that has not ended by then hangs: nothing here takes a tenth of it."""


@dataclass(slots=True)
class Course:
    """How an errand went: what came out, by sink, and how it ended.

    ``ended_at`` is of ``perf_counter``; ``error`` is what the client was told, None where the
    session ended well, and ``hung`` says that it was told nothing.
    """

    outputs: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    error: PenstockError | None = None
    hung: bool = False
    ended_at: float = 0.0


async def carried_out(errand: Errand, client: Client) -> Course:
    """Run one session to its end, whatever that is."""
    course = Course()
    talk = _executed if errand.way is Way.EXECUTE else _streamed
    try:
        async with asyncio.timeout(HUNG_S):
            course.error = await _told(talk(errand, client, course))
    except TimeoutError:
        course.hung = True
    course.ended_at = perf_counter()
    if errand.strike is not None:
        errand.strike.give_up()
    return course


async def _told(talk: Coroutine[None, None, None]) -> PenstockError | None:
    """What the client is told at the end; reader and sender are told the same."""
    error = None
    try:
        await talk
    except* PenstockError as errors:
        error = _first(errors)
    return error


async def _executed(errand: Errand, client: Client, course: Course) -> None:
    _reached(errand, Moment.CALLED)
    source = errand.prefix + errand.pipeline.steps[0].name
    inputs = {source: Binary(errand.payloads[0])}
    outcome = await client.execute(errand.pipeline.manifest(errand.prefix), inputs)
    _note(errand, course, outcome.outputs)


async def _streamed(errand: Errand, client: Client, course: Course) -> None:
    def heard(progress: NodeProgress) -> None:
        if errand.strike is not None and progress.message.startswith(IN_PROCESS):
            errand.strike.saw(progress.node_id, int(progress.message.removeprefix(IN_PROCESS)))
            errand.strike.reached(Moment.STARTING)

    manifest = errand.pipeline.manifest(errand.prefix)
    async with client.stream(manifest, on_progress=heard) as stream:
        _reached(errand, Moment.READY)
        async with asyncio.TaskGroup() as group:
            group.create_task(_send(errand, stream))
            async for output in stream.outputs():
                _reached(errand, Moment.READING)
                _note(errand, course, [output])


async def _send(errand: Errand, stream: Stream) -> None:
    source = errand.prefix + errand.pipeline.steps[0].name
    for number, payload in enumerate(errand.payloads):
        await stream.send(source, Binary(payload), sequence=number)
        _reached(errand, Moment.SENDING)
    await stream.close()
    _reached(errand, Moment.CLOSING)


def _note(errand: Errand, course: Course, outputs: Iterable[Output]) -> None:
    for output in outputs:
        sink = output.node_id.removeprefix(errand.prefix)
        assert isinstance(output.value, Binary)
        course.outputs[sink].append(output.value.data.tobytes())


def _reached(errand: Errand, moment: Moment) -> None:
    if errand.strike is not None:
        errand.strike.reached(moment)


def _first(errors: BaseExceptionGroup[PenstockError]) -> PenstockError:
    found: BaseException = errors
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, PenstockError)
    return found


async def cut_off(errand: Errand, address: str) -> Course:
    """The same with a connection of its own, which is given up in the middle."""
    client = Client(address)
    closing: list[asyncio.Task[None]] = []
    assert errand.strike is not None
    errand.strike.hang_up = lambda: closing.append(asyncio.create_task(client.aclose()))
    try:
        return await carried_out(errand, client)
    finally:
        await asyncio.gather(*closing)
        await client.aclose()


def has_own_client(errand: Errand) -> bool:
    return errand.strike is not None and errand.strike.victim is Victim.CHANNEL
