"""CommandReplyNode and its phrases."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from penstock.data import Text
from penstock.nodes.builtin.command_reply import CommandReply
from penstock.nodes.builtin.phrases import Phrase, words
from penstock.testing import run_node


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        ("turn off the kitchen light", "Okay, the kitchen light is off."),
        ("Turn ON the living room light!", "Okay, the living room light is on."),
        ("stop the music", "Okay, the music is off."),
        ("play music", "Okay, playing some music."),
        ("play some jazz", "Okay, playing some jazz."),
        ("turn off the", "Sorry, I did not understand that."),
        ("", "Sorry, I did not understand that."),
    ],
)
async def test_the_default_table(said: str, reply: str) -> None:
    assert await run_node(CommandReply, [Text(said)]) == [Text(reply)]


async def test_the_time_is_told() -> None:
    (output,) = await run_node(CommandReply, [Text("what time is it")])
    assert isinstance(output, Text)
    assert re.fullmatch(r"It is \d\d:\d\d\.", output.text)


async def test_an_own_table_keeps_language_channel_and_metadata() -> None:
    replies = {"my name is {name}": "Hello, {name}!"}
    said = Text("my name is {name} Ada", "en", "chat", {"k": "v"})
    outputs = await run_node(CommandReply, [said], {"replies": replies, "fallback": ""})
    assert outputs == [Text("Hello, name ada!", "en", "chat", {"k": "v"})]


async def test_an_empty_fallback_says_nothing() -> None:
    assert await run_node(CommandReply, [Text("hm")], {"fallback": ""}) == []


@pytest.mark.parametrize(
    ("pattern", "reply", "message"),
    [
        ("", "x", "no fixed word"),
        ("{a}", "x", "no fixed word"),
        ("go {a} {b}", "x", "need a word between"),
        ("go {a} to {a}", "x", "named twice"),
        ("go {A b}", "x", "no slot name"),
        ("go {a}", "to {b}", r"found \{b\}, expected one of a, time"),
        ("go {a}", "to {a.__class__}", "expected one of a, time"),
    ],
)
async def test_a_bad_table_is_refused(pattern: str, reply: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        await run_node(CommandReply, [], {"replies": {pattern: reply}})


@pytest.mark.parametrize(
    ("pattern", "said", "found"),
    [
        ("{x} please", "more tea please", {"x": "more tea"}),
        ("{x} please", "please", None),
        ("from {a} to {b}", "from here to there to stay", {"a": "here", "b": "there to stay"}),
        ("from {a} to {b} now", "from x to y now", {"a": "x", "b": "y"}),
        ("from {a} to {b} now", "from x to now", None),
        ("a {x} a", "a a a", {"x": "a"}),
        ("a {x} a", "a a", None),
        ("stop", "stop it", None),
    ],
)
def test_slots_take_whole_words(pattern: str, said: str, found: dict[str, str] | None) -> None:
    assert Phrase.parse(pattern).match(words(said)) == found


TOKENS = st.lists(st.sampled_from(["a", "b", "{x}", "{y}"]), min_size=1, max_size=6)


@given(TOKENS, st.lists(st.sampled_from(["a", "b", "c"]), max_size=10))
def test_matching_agrees_with_a_regular_expression(tokens: list[str], said: list[str]) -> None:
    try:
        phrase = Phrase.parse(" ".join(tokens))
    except ValueError:
        return
    slot = r"\w+(?: \w+)*"
    expression = " ".join(slot if token.startswith("{") else token for token in tokens)
    expected = re.fullmatch(expression, " ".join(said)) is not None
    assert (phrase.match(said) is not None) == expected
