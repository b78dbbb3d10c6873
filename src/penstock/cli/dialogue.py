"""One spoken exchange with a service: speech goes in, transcript and reply come back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from penstock.cli.utterance import Utterance
from penstock.client import Client, ExecutionReport, Stream
from penstock.data import Audio, Text
from penstock.errors import PenstockError
from penstock.session import NodeProgress, Output

MANIFEST = Path(__file__).with_name("voice_assistant.json")
_MICROPHONE, _SPEAKER = "chunker", "speaker"
_SAID = {"transcript": "heard", "reply_text": "reply"}

OnText = Callable[[str, str], None]


@dataclass(slots=True)
class Dialogue:
    """What came of it; times are of ``time.perf_counter``.

    ``report`` is what the service measured.
    """

    reply: list[Audio] = field(default_factory=list)
    report: ExecutionReport | None = None
    speech_ended_at: float | None = None
    answered_at: float | None = None

    @property
    def response_s(self) -> float | None:
        """From the end of speech to the first audio of the reply; None without one."""
        if self.speech_ended_at is None or self.answered_at is None:
            return None
        return self.answered_at - self.speech_ended_at


async def converse(
    target: str,
    utterance: Utterance,
    *,
    paced: bool,
    on_progress: Callable[[NodeProgress], None],
    on_text: OnText,
) -> Dialogue:
    """Stream an utterance through the voice assistant of the service at ``target``.

    ``paced``: as fast as it would be spoken, otherwise as fast as it goes. ``on_text`` is
    told ``heard`` and ``reply`` as they come. Raises ``ServiceError``, and what ``on_text`` raises.
    """
    dialogue = Dialogue()
    async with Client(target) as client, client.stream(MANIFEST, on_progress=on_progress) as stream:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_speak(stream, utterance, dialogue, paced=paced))
                group.create_task(_listen(stream, dialogue, on_text))
        except* (PenstockError, OSError) as errors:
            raise next(_leaves(errors)) from None
        dialogue.report = stream.final_metrics
    return dialogue


async def _speak(stream: Stream, utterance: Utterance, dialogue: Dialogue, *, paced: bool) -> None:
    started = time.perf_counter()
    for index, chunk in enumerate(utterance.chunks):
        if paced:  # a chunk exists when its last sample has been spoken
            due = started + (index + 1) * utterance.chunk_s
            await asyncio.sleep(due - time.perf_counter())
        await stream.send(_MICROPHONE, chunk, sequence=index + 1)
        if index == utterance.last_spoken:
            dialogue.speech_ended_at = time.perf_counter()
    await stream.close()


async def _listen(stream: Stream, dialogue: Dialogue, on_text: OnText) -> None:
    async for output in stream.outputs():
        _note(output, dialogue, on_text)


def _note(output: Output, dialogue: Dialogue, on_text: OnText) -> None:
    match output.value:
        case Text(text=text) if output.node_id in _SAID:
            on_text(_SAID[output.node_id], text)
        case Audio() as audio if output.node_id == _SPEAKER:
            if dialogue.answered_at is None:
                dialogue.answered_at = time.perf_counter()
            dialogue.reply.append(audio)


def _leaves(errors: BaseExceptionGroup[PenstockError | OSError]) -> Iterator[BaseException]:
    """The same failure reaches the sender and the reader: the first of them will do."""
    for error in errors.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
