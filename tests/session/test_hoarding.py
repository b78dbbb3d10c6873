"""Who is named where inputs that came from another process are kept in the session's own."""

import numpy as np
import pytest
from pipelines import chain, options, through

from penstock.data import Audio
from penstock.session import Session

TOO_MANY = 300


@pytest.mark.parametrize(
    ("behind", "named"),
    [
        (["PassThrough", "PassThrough"], "node 'n1' or node 'n2' or the client never lets go"),
        ([], "the client never lets go"),
        (["PassThrough", "EchoNode"], "the client never lets go of its inputs from 'n2'"),
    ],
)
async def test_whoever_may_hold_what_is_passed_on_within_the_process_is_named(behind, named):
    sounds = (Audio(np.full(4_000, 1, np.int16), 8_000) for _ in range(TOO_MANY))
    async with Session(chain("tone", *behind), options()) as session:
        kept = await through(session, sounds)
    assert len(kept) == TOO_MANY
    (warning,) = session.context.warnings
    assert warning.startswith(named)
