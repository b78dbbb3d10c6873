"""Turns of speech, without a model."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.nodes.builtin.speech_turns import SpeechTurns, Turn, TurnRules

RULES = TurnRules(threshold=0.5, min_speech_ms=60, min_silence_ms=90, pad_ms=10, window_ms=30)


def turns(probabilities: list[float], rules: TurnRules = RULES) -> list[tuple[int, Turn]]:
    """Each start and end with the position at which it was told, the stream's end included."""
    follower = SpeechTurns(rules)
    found = [(follower.position_ms, follower.step(p)) for p in probabilities]
    found.append((follower.position_ms, follower.finish()))
    return [(begin, turn) for begin, turn in found if turn is not None]


def test_a_turn_starts_after_min_speech_and_ends_after_min_silence() -> None:
    silence, speech = [0.1] * 4, [0.9] * 5
    assert turns(silence + speech + silence) == [
        (150, Turn(110)),
        (330, Turn(110, 280)),
    ]


def test_short_speech_is_no_turn() -> None:
    assert turns([0.1, 0.9, 0.1, 0.1, 0.1, 0.1]) == []


def test_short_silence_is_a_pause() -> None:
    found = turns([0.9, 0.9, 0.1, 0.1, 0.9, 0.9, 0.1, 0.1, 0.1])
    assert [turn for _, turn in found] == [Turn(0), Turn(0, 190)]


def test_speech_is_left_later_than_it_is_entered() -> None:
    assert turns([0.4] * 9) == []
    assert [turn for _, turn in turns([0.9] + [0.4] * 9)] == [Turn(0), Turn(0, 300)]
    assert turns([0.9] + [0.34] * 9) == []


def test_the_end_of_the_stream_ends_a_turn() -> None:
    assert turns([0.9, 0.9]) == [(30, Turn(0)), (60, Turn(0, 60))]


@given(
    st.lists(st.floats(0, 1), max_size=80),
    st.builds(
        TurnRules,
        threshold=st.floats(0.01, 0.99),
        min_speech_ms=st.integers(0, 300),
        min_silence_ms=st.integers(0, 300),
        pad_ms=st.integers(0, 300),
        window_ms=st.just(32),
    ),
)
def test_starts_and_ends_alternate_and_turns_never_overlap(
    probabilities: list[float], rules: TurnRules
) -> None:
    found = [turn for _, turn in turns(probabilities, rules)]
    assert len(found) % 2 == 0
    latest = 0
    for start, end in zip(found[::2], found[1::2], strict=True):
        assert start.end_ms is None
        assert end.end_ms is not None
        assert latest <= start.start_ms == end.start_ms < end.end_ms
        assert end.end_ms <= 32 * len(probabilities)
        latest = end.end_ms
