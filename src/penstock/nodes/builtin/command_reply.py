"""Answers spoken commands from a table of phrases."""

from __future__ import annotations

import time

from pydantic import Field, field_validator

from penstock.data import ExecutorType, Text
from penstock.nodes.base import Node, node
from penstock.nodes.builtin.phrases import Phrase, fill, slots, words
from penstock.nodes.params import NodeParams

REPLIES = {
    "turn {state} the {thing}": "Okay, the {thing} is {state}.",
    "what time is it": "It is {time}.",
    "stop the music": "Okay, the music is off.",
    "play music": "Okay, playing some music.",
    "play {what}": "Okay, playing {what}.",
}


class CommandReplyParams(NodeParams):
    """What is understood and what is said to it."""

    replies: dict[str, str] = Field(
        REPLIES, max_length=1_000, description="phrase → reply, both with {slots}; the first fits"
    )
    fallback: str = Field(
        "Sorry, I did not understand that.",
        description="said where no phrase fits; empty means nothing",
    )

    @field_validator("replies")
    @classmethod
    def _consistent(cls, replies: dict[str, str]) -> dict[str, str]:
        for pattern, reply in replies.items():
            known = [*Phrase.parse(pattern).names, "time"]
            unknown = [name for name in slots(reply) if name not in known]
            if unknown:
                raise ValueError(
                    f"{reply!r}: found {{{unknown[0]}}}, expected one of {', '.join(known)}"
                )
        return replies


@node("CommandReplyNode", executor=ExecutorType.MULTIPROCESS)
class CommandReply(Node):
    """Answer commands by a table of phrases, tried in order.

    A phrase is words and `{slots}`; a slot stands for one or more words, and the reply may use
    it: `"turn {state} the {thing}": "Okay, the {thing} is {state}."`. Case and punctuation
    don't matter. `{time}` in a reply is the local time. Matching is linear in the text's
    length. Language, channel and metadata of the text stay.
    """

    Params = CommandReplyParams
    params: CommandReplyParams

    def setup(self) -> None:
        self._rules = [
            (Phrase.parse(pattern), reply) for pattern, reply in self.params.replies.items()
        ]

    def process(self, item: Text) -> Text | None:
        reply = self._reply(words(item.text))
        if not reply:
            return None
        return Text(reply, item.language, item.channel, item.metadata)

    def _reply(self, said: list[str]) -> str:
        for phrase, reply in self._rules:
            values = phrase.match(said)
            if values is not None:
                return fill(reply, {"time": time.strftime("%H:%M"), **values})
        return self.params.fallback
