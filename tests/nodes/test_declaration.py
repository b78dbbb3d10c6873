"""What a class says when it is declared as a node type."""

import pytest
from pydantic import Field

from penstock.data import Text
from penstock.nodes import Node, NodeParams, node


class Plain(Node):
    def process(self, item: Text) -> Text:
        return item


class Sized(Plain):
    class Params(NodeParams):
        size: int = Field(160, description="samples of a frame")
        name: str = Field("", description="what it is called")


@pytest.mark.parametrize("said", ["", "size of it", "name", -1, True, 1.5, None])
def test_chunk_samples_are_a_number_or_a_parameter_that_is_one(said):
    cls = type("Wrong", (Sized,), {"chunk_samples": said})
    with pytest.raises(ValueError, match=r"@node\('wrong'\): chunk_samples must be a number"):
        node("wrong")(cls)
    for fine in ("size", 0, 512):
        assert node("right")(type("Right", (Sized,), {"chunk_samples": fine}))


class Async(Node):
    async def process(self, item: Text) -> Text:
        return item


@pytest.mark.parametrize("count", [0, -1, 1.5, "2", True, None])
def test_concurrency_is_a_number_from_one_on(count):
    cls = type("Wrong", (Async,), {"concurrency": count})
    with pytest.raises(ValueError, match=r"@node\('wrong'\): concurrency must be .* from 1 on"):
        node("wrong")(cls)


def test_only_an_async_process_can_work_on_several_inputs():
    cls = type("Wrong", (Plain,), {"concurrency": 2})
    with pytest.raises(ValueError, match="concurrency = 2 needs an async process"):
        node("wrong")(cls)
    assert node("right")(type("Right", (Async,), {"concurrency": 2})).concurrency == 2
    assert node("right")(type("Right", (Plain,), {"concurrency": 1}))


def test_a_node_type_needs_a_name():
    with pytest.raises(TypeError, match=r'@node needs a name, as in @node\("Gain"\), got <class'):
        node(Plain)


@pytest.mark.parametrize("said", [type("Params", (), {"size": 1}), Sized.Params(), None])
def test_params_extend_node_params(said):
    cls = type("Wrong", (Plain,), {"Params": said})
    with pytest.raises(TypeError, match=r"Params must be a subclass of NodeParams, got"):
        node("wrong")(cls)


class Bare(Plain):
    def __init__(self) -> None:
        self.model = None


class Loaded(Plain):
    def __init__(self, params, ctx) -> None:
        super().__init__(params, ctx)
        self.model = None


class Forwarding(Plain):
    def __init__(self, *args) -> None:
        super().__init__(*args)


def test_an_init_takes_what_that_of_node_takes():
    with pytest.raises(TypeError, match=r"must take \(self, params, ctx\), .*\(self\).* setup"):
        node("wrong")(Bare)
    assert node("right")(Loaded)
    assert node("right")(Forwarding)
