"""The two nodes of the dataflow: ``python -m bench.frameworks.dora_node source LINK``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow
from dora import Node
from numpy.typing import NDArray

from bench.hops.ends import serve_source, serve_target


class Dora:
    """A dataflow's output and input; payloads travel as Arrow arrays."""

    def __init__(self) -> None:
        self._node = Node()

    @contextmanager
    def sender(self) -> Iterator[Dora]:
        yield self

    @contextmanager
    def receiver(self) -> Iterator[Dora]:
        yield self

    def memory(self, nbytes: int) -> NDArray[np.uint8]:
        return np.empty(nbytes, np.uint8)

    def send(self, payload: NDArray[np.uint8]) -> None:
        self._node.send_output("payload", pyarrow.array(payload))

    def receive(self) -> NDArray[np.uint8]:
        while (event := self._node.next()) is not None:
            if event["type"] == "INPUT":
                payload: NDArray[np.uint8] = event["value"].to_numpy(zero_copy_only=True)
                return payload
        raise EOFError("the dataflow has ended")


def main(role: str, link: str) -> None:
    """Serve one end until the dataflow is ended."""
    {"source": serve_source, "target": serve_target}[role](Dora(), link)


if __name__ == "__main__":
    main(*sys.argv[1:])
