"""The numbers that a client gives its chunks, and what follows from one to the next. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.errors import SequenceError


class Numbering:
    """Refuses gaps and repeats where a client numbers its chunks.

    It may number none (all are zero), or one up with each chunk, through the whole stream or
    through those of each source; the first may have any number. What a client does is seen from
    what it has sent so far: a chunk is refused when none of the three is left.
    """

    def __init__(self) -> None:
        self._is_silent = True
        self._in_stream: int | None = None
        self._in_source: dict[str, int] = {}
        self._by_stream = True
        self._by_source = True

    def take(self, sequence: int, sources: Sequence[str]) -> int | None:
        """The number of a chunk that goes to ``sources``; None: one up, as it has none.

        Raises ``SequenceError`` for one that does not follow those before it.
        """
        before, is_first = self._in_source, False
        is_silent = self._is_silent and sequence == 0
        by_stream = self._by_stream and self._in_stream in (None, sequence - 1)
        by_source = self._by_source
        for name in sources:
            last = before.get(name)
            is_first = is_first or last is None
            by_source = by_source and last in (None, sequence - 1)
        if not (is_silent or by_stream or by_source):
            raise SequenceError(found=sequence, expected=self._expected(sequence, sources))
        self._is_silent, self._by_stream, self._by_source = is_silent, by_stream, by_source
        self._in_stream = sequence
        for name in sources:
            before[name] = sequence
        is_numbered = sequence > 0 or (is_first and (by_stream or by_source))
        return sequence if is_numbered else None

    def _expected(self, found: int, sources: Sequence[str]) -> list[int]:
        expected = {0} if self._is_silent else set()
        if self._by_stream:
            expected.add(found if self._in_stream is None else self._in_stream + 1)
        if self._by_source:
            expected |= {self._in_source.get(name, found - 1) + 1 for name in sources}
        return sorted(expected)
