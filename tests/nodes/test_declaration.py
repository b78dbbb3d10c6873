"""What a class says when it is declared as a node type."""

import pytest

from penstock.data import Text
from penstock.nodes import Node, node


class Plain(Node):
    def process(self, item: Text) -> Text:
        return item


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
