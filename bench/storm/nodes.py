"""Nodes whose outputs can be told beforehand, byte for byte; each says which process it is in."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from penstock.data import Binary, ExecutorType
from penstock.nodes import Join, Node, NodeParams, node
from penstock.nodes.join import JoinParams

Payload = NDArray[np.uint8]
_FACTOR = np.uint8(167)
IN_PROCESS = "in process "
"""How the progress begins that tells a node's process."""


def scrambled(data: Payload, key: int) -> Payload:
    """What a ``Scramble`` makes of its input."""
    return data * _FACTOR + np.uint8(key)


def combined(a: Payload, b: Payload, key: int) -> Payload:
    """What a ``Combine`` makes of its inputs."""
    return (a ^ b) + np.uint8(key)


class Scramble(Node):
    """Change every byte."""

    class Params(NodeParams):
        key: int = Field(ge=0, le=255)

    params: Params

    def setup(self) -> None:
        self.ctx.progress(0.5, f"{IN_PROCESS}{os.getpid()}")

    def process(self, item: Binary) -> Binary:
        output = self.ctx.allocate(item.data.size, np.uint8)
        np.multiply(item.data, _FACTOR, out=output)
        output += np.uint8(self.params.key)
        return Binary(output)


@node("ScrambleProcess", executor=ExecutorType.MULTIPROCESS)
class ScrambleProcess(Scramble):
    """In a process of its own."""


@node("ScrambleNative", executor=ExecutorType.NATIVE)
class ScrambleNative(Scramble):
    """On a thread of the session's process."""


@node("ScrambleQuick", executor=ExecutorType.NATIVE)
class ScrambleQuick(Scramble):
    """On the event loop of the session's process."""

    blocking = False


class Combine(Join):
    """Put two arms together."""

    class Params(JoinParams):
        key: int = Field(ge=0, le=255)

    params: Params

    def setup(self) -> None:
        self.ctx.progress(0.5, f"{IN_PROCESS}{os.getpid()}")

    def process(self, a: Binary, b: Binary) -> Binary:
        return Binary(combined(a.data, b.data, self.params.key))


@node("CombineProcess", executor=ExecutorType.MULTIPROCESS)
class CombineProcess(Combine):
    """In a process of its own."""


@node("CombineNative", executor=ExecutorType.NATIVE)
class CombineNative(Combine):
    """In the session's process."""
