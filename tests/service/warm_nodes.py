"""A node that is worth setting up ahead, and a service that keeps some ready."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator

from penstock.client import Client
from penstock.data import Text
from penstock.manifest import PrewarmSettings, ServiceSettings, Settings
from penstock.nodes import Catalogue, Node, NodeParams, node
from penstock.service.server import running


class ModelParams(NodeParams):
    model: str = "base"


@node("slow_to_set_up")
class SlowToSetUp(Node):
    """Says which node of which process it is; what it gets is what those before it said."""

    Params = ModelParams
    params: ModelParams

    def setup(self) -> None:
        if self.params.model == "broken":
            raise ValueError("no such model")

    def process(self, item: Text) -> Text:
        if item.text == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        own = f"{self.ctx.node_id} {os.getpid()} {self.params.model}"
        return Text(f"{item.text}\n{own}".lstrip())


class Watch(logging.Handler):
    """Hears the service's log: which processes wait, and what went wrong with one."""

    def __init__(self) -> None:
        super().__init__()
        self.pids: list[int] = []
        self.errors: list[str] = []
        self._heard = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == logging.ERROR:
            self.errors.append(record.getMessage())
        elif "is set up and waits" in record.getMessage():
            self.pids.append(int(record.args[1]))
        self._heard.set()

    async def waiting(self, count: int) -> list[int]:
        """Those that came to wait, once there have been so many."""
        async with asyncio.timeout(20):
            while len(self.pids) < count:
                self._heard.clear()
                await self._heard.wait()
        return self.pids

    async def error(self) -> str:
        """The first that there is."""
        async with asyncio.timeout(20):
            while not self.errors:
                self._heard.clear()
                await self._heard.wait()
        return self.errors[0]


@contextlib.asynccontextmanager
async def warmed(*counts: int, **params: str) -> AsyncIterator[tuple[Client, Watch]]:
    """A client of a service that keeps so many of them ready, by one wish for each count."""
    async with keeping(*(wish(count, **params) for count in counts)) as kept:
        yield kept


def wish(count: int = 1, **params: str) -> PrewarmSettings:
    return PrewarmSettings(node_type="slow_to_set_up", params=params, count=count)


@contextlib.asynccontextmanager
async def keeping(*wishes: PrewarmSettings) -> AsyncIterator[tuple[Client, Watch]]:
    """A client of a service that keeps what is wished ready."""
    settings = Settings(service=ServiceSettings(prewarm=wishes))
    catalogue = Catalogue.installed().extended(SlowToSetUp)
    watch = Watch()
    log = logging.getLogger("penstock.session.hosting.warm")
    log.addHandler(watch)
    log.setLevel(logging.INFO)
    try:
        serving = running(settings, "127.0.0.1:0", catalogue)
        async with serving as address, Client(address) as client:
            yield client, watch
    finally:
        log.removeHandler(watch)
        log.setLevel(logging.NOTSET)
