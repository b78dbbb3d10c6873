"""How a join declares what it takes."""

import pytest

from penstock.data import Audio, Kind, Text
from penstock.errors import ConfigurationError
from penstock.nodes import Join, JoinParams, Node, NodeParams
from penstock.nodes.catalogue import describe
from penstock.nodes.ports import ALL_KINDS, join_ports


def test_each_argument_has_its_kinds():
    def process(self, voice: Audio, words: Text | Audio, anything): ...

    ports = join_ports(process)
    assert ports.named == {
        "voice": {Kind.AUDIO},
        "words": {Kind.TEXT, Kind.AUDIO},
        "anything": ALL_KINDS,
    }
    assert ports.accepts("voice") == {Kind.AUDIO}
    assert ports.accepts("n0") is None


def test_any_number_of_connections_by_their_names():
    def process(self, voice: Audio, **others: Text): ...

    ports = join_ports(process)
    assert ports.accepts("voice") == {Kind.AUDIO}
    assert ports.accepts("n0") == {Kind.TEXT}
    assert ports.accepts("self") is None
    assert ports.kinds == {Kind.AUDIO, Kind.TEXT}


def positional(self, voice: Audio, /): ...
def several(self, *voices: Audio): ...
def optional(self, voice: Audio = None): ...
def nothing(self): ...
def not_even_itself(): ...
def number(self, voice: int): ...


@pytest.mark.parametrize(
    ("process", "says"),
    [
        (positional, "can't feed voice"),
        (several, "can't feed \\*voices"),
        (optional, "can't feed voice"),
        (nothing, "an argument for each connection"),
        (not_even_itself, "an argument for each connection"),
        (number, "is no kind of data"),
    ],
)
def test_what_can_not_be_fed_is_refused(process, says):
    with pytest.raises(TypeError, match=says):
        join_ports(process)


def described(**members):
    cls = type("Wrong", (Join,), members)
    cls.__penstock_node__ = ("wrong", None)
    return describe(cls, "module:Wrong")


def test_a_join_needs_process_and_the_params_of_a_join():
    def process(self, voice: Audio) -> Text: ...

    class Other(NodeParams):
        pass

    assert described(process=process).joins.named == {"voice": {Kind.AUDIO}}
    with pytest.raises(ConfigurationError, match="Params that extend JoinParams"):
        described(process=process, Params=Other)
    with pytest.raises(ConfigurationError, match="needs either process or produce"):
        described()


def test_other_nodes_are_no_joins():
    def process(self, item: Audio) -> Text: ...

    cls = type("Plain", (Node,), {"process": process, "__penstock_node__": ("plain", None)})
    assert describe(cls, "module:Plain").joins is None


def test_a_node_feeds_the_argument_that_names_it_or_has_its_name():
    params = JoinParams(inputs={"voice": "microphone"})
    assert params.argument("microphone") == "voice"
    assert params.argument("words") == "words"
