"""The node contract, the catalogue of node types, and the built-in nodes."""

from penstock.nodes.base import Node, node
from penstock.nodes.catalogue import Catalogue, NodeType
from penstock.nodes.context import Host, NodeContext
from penstock.nodes.join import Join, JoinParams
from penstock.nodes.params import NodeParams

__all__ = [
    "Catalogue",
    "Host",
    "Join",
    "JoinParams",
    "Node",
    "NodeContext",
    "NodeParams",
    "NodeType",
    "node",
]
