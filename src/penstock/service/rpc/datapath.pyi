import asyncio

from penstock.service.rpc.call import Call
from penstock.service.rpc.inflow import Taker
from penstock.service.rpc.outbox import Outbox

class DataPath(Taker):
    _within_headers: bool

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None: ...
    @property
    def calls(self) -> dict[int, Call]: ...
    @property
    def outbox(self) -> Outbox: ...
    def grant_all(self) -> None: ...
