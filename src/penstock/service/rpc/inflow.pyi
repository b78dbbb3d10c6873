import asyncio
from typing import final

from penstock.service.rpc.turnstile import Turnstile

class Taker: ...

@final
class Inflow:
    wait_until: float

    def __init__(
        self, loop: asyncio.AbstractEventLoop, turnstile: Turnstile, taker: Taker
    ) -> None: ...
    def open(self, transport: asyncio.Transport) -> None: ...
    def close(self) -> None: ...
    def add(self, data: bytes) -> None: ...
