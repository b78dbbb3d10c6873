"""Recording: a signal that forgets its beginning, against a plain list."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from penstock.nodes.builtin.utterances import Recording

STEPS = st.lists(
    st.tuples(st.sampled_from(["append", "forget", "take"]), st.integers(-5, 60)), max_size=30
)


@given(STEPS)
def test_a_recording_is_a_list_with_an_offset(steps: list[tuple[str, int]]) -> None:
    recording, signal, start = Recording(), [], 0
    for action, number in steps:
        if action == "append":
            new = list(range(len(signal), len(signal) + max(number, 0)))
            recording.append(np.array(new, np.int16))
            signal += new
            continue
        bound = min(max(number, start), len(signal))
        if action == "take":
            assert recording.take(number).tolist() == signal[start:bound]
        else:
            recording.forget(number)
        start = bound
        assert (recording.start, recording.end) == (start, len(signal))
    assert recording.take(len(signal)).tolist() == signal[start:]


def test_what_is_kept_is_a_copy() -> None:
    sent = np.zeros(3, np.int16)
    recording = Recording()
    recording.append(sent)
    sent[:] = 1
    assert recording.take(3).tolist() == [0, 0, 0]
