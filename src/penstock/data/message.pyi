from typing import Any, Self

from penstock.data.values import Value

CLIENT: str

class Message:
    def __init__(
        self,
        value: Value,
        sequence: int = 0,
        part: int = 0,
        timestamp_us: int = 0,
        epoch: int = 0,
        origin: str = ...,
        entered_ns: int = 0,
    ) -> None: ...
    @property
    def value(self) -> Value: ...
    @property
    def sequence(self) -> int: ...
    @property
    def part(self) -> int: ...
    @property
    def timestamp_us(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def origin(self) -> str: ...
    @property
    def entered_ns(self) -> int: ...
    def replace(self, **changes: Any) -> Self: ...
