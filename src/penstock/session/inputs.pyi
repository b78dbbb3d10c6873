from typing import final

from penstock.data import Message, Value
from penstock.executors.trail import Trail
from penstock.session.crossing import Tally
from penstock.session.gateway import Inlet
from penstock.session.life import Life

@final
class Inward:
    def __init__(self, life: Life, counters: Tally, trail: Trail | None) -> None: ...
    @property
    def sequence(self) -> int: ...
    def offer(
        self,
        node_id: str,
        value: Value,
        sequence: int | None,
        timestamp_us: int,
        entered_ns: int | None,
    ) -> int | None: ...
    def prepare(
        self,
        node_id: str,
        value: Value,
        sequence: int | None,
        timestamp_us: int,
        entered_ns: int | None,
    ) -> tuple[Inlet, Message]: ...
    def count(self, message: Message) -> None: ...
    def between(self, value: Value, timestamp_us: int) -> Message: ...
