"""``run_node``: every form of node, with its whole life around it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import ClassVar

import numpy as np
import pytest
from pydantic import Field, ValidationError

from penstock.data import Audio, Binary, Json, Text, Value
from penstock.errors import ConfigurationError, InputError
from penstock.nodes import Join, Node, NodeParams, node
from penstock.testing import run_node


class Suffix(NodeParams):
    """For the tests."""

    suffix: str = Field("!", max_length=3, description="added")


@node("Plain")
class Plain(Node):
    Params = Suffix
    params: Suffix

    def process(self, item: Text) -> Text:
        return Text(item.text + self.params.suffix)


@node("Async")
class Async(Node):
    async def setup(self) -> None:
        self.seen = 0

    async def process(self, item: Text) -> Text | None:
        self.seen += 1
        return None if item.text == "skip" else item

    async def flush(self) -> list[Text]:
        return [Text(f"{self.seen} seen")]


@node("Many")
class Many(Node):
    def process(self, item: Text) -> Iterator[Text]:
        yield from (Text(word) for word in item.text.split())


@node("AsyncMany")
class AsyncMany(Node):
    async def process(self, item: Text) -> AsyncIterator[Text]:
        for word in item.text.split():
            yield Text(word)


@node("Source")
class Source(Node):
    def produce(self) -> Iterator[Json]:
        yield from map(Json, range(3))


@node("Numbered")
class Numbered(Node):
    def process(self, item: Text) -> Json:
        arrival = self.ctx.arrival
        assert arrival is not None
        return Json([arrival.sequence, arrival.value is item])

    def flush(self) -> Json:
        return Json(self.ctx.arrival is None)


@node("Writer")
class Writer(Node):
    def process(self, item: Audio | Binary) -> Value:
        array = item.samples if isinstance(item, Audio) else item.data
        array[0] = 1
        return item


@node("Failing")
class Failing(Node):
    ended: ClassVar[list[str]] = []
    fails_in = "process"

    def setup(self) -> None:
        if self.fails_in == "setup":
            raise OSError("setup")

    def process(self, item: Text) -> Text:
        raise OSError("process")

    def teardown(self) -> None:
        self.ended.append(self.fails_in)


@node("FailingSetup")
class FailingSetup(Failing):
    fails_in = "setup"


@node("Wrong")
class Wrong(Node):
    def process(self, item: Text) -> Text:
        return item.text  # type: ignore[return-value]  # that is the point


@node("Undeclared")
class Undeclared(Node):
    def process(self, item: Text) -> Text:
        return Json(item.text)  # type: ignore[return-value]  # that is the point


@node("Unawaited")
class Unawaited(Node):
    def process(self, item: Text) -> Text:
        return self.answer(item)  # type: ignore[return-value]  # that is the point

    async def answer(self, item: Text) -> Text:
        return item


@node("Set")
class InASet(Node):
    def process(self, item: Text) -> Text:
        return {item.text: item}  # type: ignore[return-value]  # that is the point


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (Undeclared, "gave json, but declares text"),
        (Unawaited, "declare the method async"),
        (InASet, "got dict"),
    ],
)
async def test_what_a_session_refuses_is_refused(cls: type[Node], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        await run_node(cls, [Text("a")])


async def test_a_class_of_the_test_s_own_function_will_do() -> None:
    @node("Local")
    class Local(Node):
        def process(self, item: Text) -> Text:
            return item

    assert await run_node(Local, [Text("a")]) == [Text("a")]


async def test_a_plain_node_with_and_without_parameters() -> None:
    assert await run_node(Plain, [Text("a"), Text("b")]) == [Text("a!"), Text("b!")]
    assert await run_node(Plain, [Text("a")], {"suffix": "?"}) == [Text("a?")]
    assert await run_node(Plain, [Text("a")], Suffix(suffix="?")) == [Text("a?")]


async def test_an_async_node_that_skips_and_flushes() -> None:
    outputs = await run_node(Async, [Text("skip"), Text("a")])
    assert outputs == [Text("a"), Text("2 seen")]


@pytest.mark.parametrize("cls", [Many, AsyncMany])
async def test_generators(cls: type[Node]) -> None:
    assert await run_node(cls, [Text("a b"), Text("c")]) == [Text("a"), Text("b"), Text("c")]


async def test_a_source_runs_to_its_end() -> None:
    assert await run_node(Source) == [Json(0), Json(1), Json(2)]


async def test_inputs_are_numbered_while_they_are_processed() -> None:
    outputs = await run_node(Numbered, [Text("a"), Text("b")])
    assert outputs == [Json([0, True]), Json([1, True]), Json(True)]


@pytest.mark.parametrize("value", [Audio(np.zeros(2, np.int16), 1), Binary.from_bytes(b"ab")])
async def test_inputs_are_read_only_and_the_caller_keeps_its_own(value: Value) -> None:
    with pytest.raises(ValueError, match="read-only"):
        await run_node(Writer, [value])


@pytest.mark.parametrize("cls", [Failing, FailingSetup])
async def test_teardown_follows_a_failure(cls: type[Failing]) -> None:
    cls.ended.clear()
    with pytest.raises(OSError, match=cls.fails_in):
        await run_node(cls, [Text("a")])
    assert cls.ended == [cls.fails_in]


async def test_what_is_wrong_is_said() -> None:
    with pytest.raises(InputError, match="Plain accepts text; got json"):
        await run_node(Plain, [Json(1)])
    with pytest.raises(InputError, match="Plain accepts text; got str, which is no value"):
        await run_node(Plain, ["a"])  # type: ignore[list-item]  # that is the fault
    with pytest.raises(ValidationError, match="at most 3"):
        await run_node(Plain, [], {"suffix": "long"})
    with pytest.raises(TypeError, match="got str"):
        await run_node(Wrong, [Text("a")])
    with pytest.raises(ConfigurationError, match="not marked"):
        await run_node(Node)
    for no_class in ("Plain", Text, None):
        with pytest.raises(TypeError, match="run_node: expected a class that is a Node, got"):
            await run_node(no_class)  # type: ignore[arg-type]  # that is what is tried


@node("captions")
class Captions(Join):
    def process(self, sound: Audio, words: Text) -> Text:
        assert self.ctx.arrival is not None
        return Text(f"{self.ctx.arrival.sequence}: {words.text} ({sound.samples.size})")


async def test_a_join_gets_an_input_for_each_argument() -> None:
    sound = Audio(np.zeros(3, np.int16), 16_000)
    inputs = [{"words": Text("a"), "sound": sound}, {"words": Text("b"), "sound": sound}]
    assert await run_node(Captions, inputs) == [Text("0: a (3)"), Text("1: b (3)")]
    with pytest.raises(InputError, match=r"captions\(words=…\) accepts text; got audio"):
        await run_node(Captions, [{"words": sound, "sound": sound}])
    with pytest.raises(InputError, match="captions is a join: expected a mapping, got Text"):
        await run_node(Captions, [Text("a")])
