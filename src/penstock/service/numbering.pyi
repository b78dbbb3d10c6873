from collections.abc import Sequence

class Numbering:
    def take(self, sequence: int, sources: Sequence[str]) -> int | None: ...
