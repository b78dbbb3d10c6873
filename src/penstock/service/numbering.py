"""The numbers that a client gives its chunks, and what follows from one to the next. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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
        in_stream = sequence if self._in_stream is None else self._in_stream + 1
        before = self._in_source
        in_source = {name: before.get(name, sequence - 1) + 1 for name in sources}
        is_silent = self._is_silent and sequence == 0
        by_stream = self._by_stream and sequence == in_stream
        by_source = self._by_source and set(in_source.values()) == {sequence}
        if not (is_silent or by_stream or by_source):
            raise SequenceError(
                found=sequence, expected=self._expected(in_stream, in_source.values())
            )
        self._is_silent, self._by_stream, self._by_source = is_silent, by_stream, by_source
        is_first = not in_source.keys() <= before.keys()
        self._in_stream = sequence
        before.update(dict.fromkeys(sources, sequence))
        return sequence if sequence or is_first else None

    def _expected(self, in_stream: int, in_source: Iterable[int]) -> list[int]:
        expected = {0} if self._is_silent else set()
        expected |= {in_stream} if self._by_stream else set()
        expected |= set(in_source) if self._by_source else set()
        return sorted(expected)
