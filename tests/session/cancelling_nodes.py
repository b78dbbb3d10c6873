"""Nodes that are cancelled by nobody but themselves, outside of their inputs."""

from __future__ import annotations

import asyncio
from typing import Literal

from penstock.data import ExecutorType, Text
from penstock.nodes import Node, NodeParams, node


class CancellingParams(NodeParams):
    method: Literal["setup", "teardown"]


class Cancelling(Node):
    """As one does that has let itself be told by a library that its work was cancelled."""

    Params = CancellingParams
    params: CancellingParams

    def cancel_in(self, method: str) -> None:
        if method == self.params.method:
            raise asyncio.CancelledError("no more")

    def process(self, item: Text) -> Text:
        return item


class Plain(Cancelling):
    def setup(self) -> None:
        self.cancel_in("setup")

    def teardown(self) -> None:
        self.cancel_in("teardown")


class Async(Cancelling):
    async def setup(self) -> None:
        self.cancel_in("setup")

    async def teardown(self) -> None:
        self.cancel_in("teardown")


node("cancels")(Plain)
node("cancels_async")(Async)


@node("cancels_native", executor=ExecutorType.NATIVE)
class PlainNative(Plain):
    """In the session's process."""


@node("cancels_async_native", executor=ExecutorType.NATIVE)
class AsyncNative(Async):
    """The same on its event loop."""
