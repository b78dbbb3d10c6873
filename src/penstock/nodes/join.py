"""A node that needs one input of each of its connections at a time."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from penstock.nodes.base import Node
from penstock.nodes.params import NodeParams


class JoinParams(NodeParams):
    """The base of a join's ``Params``: what feeds it, and what belongs together."""

    inputs: dict[str, str] = Field(
        default_factory=dict,
        description="argument of process to the ID of the node that feeds it; "
        "without, a node feeds the argument that is called like its ID",
    )
    tolerance_us: int | None = Field(
        None,
        ge=0,
        description="inputs belong together whose capture times are no further apart, in µs; "
        "without, those of one sequence number and part",
    )

    def argument(self, source: str) -> str:
        """The argument that the node with the ID ``source`` feeds."""
        fed = {node_id: name for name, node_id in self.inputs.items()}
        return fed.get(source, source)


class Join(Node):
    """A ``Node`` whose ``process`` is called with one input of each connection.

    Each argument takes what one node gives, of the kinds of its annotation;
    ``process(self, voice: Audio, words: Text)`` has two connections,
    ``process(self, **tracks: Audio)`` has any number, by the IDs of the nodes they come from.

    An input is held until it is matched, one for each connection; the others wait on their
    connections. Numbers and capture times are taken to rise: what an input of another
    connection has overtaken can't be matched any more. It is dropped, and counted as
    ``unmatched``. What comes out takes sequence and capture time from the latest input.
    """

    Params: ClassVar[type[NodeParams]] = JoinParams
