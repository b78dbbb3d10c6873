"""What is kept of sessions that are gone: the ends of the last few, for whose they were."""

from __future__ import annotations

import gc
import weakref

from penstock.manifest import TokenRights
from penstock.service.callers import ANYBODY, Caller
from penstock.service.endings import REMEMBERED, Endings
from penstock.session import Session
from penstock.wire.v1 import control_pb2 as pb

NODES = [{"id": "n0", "node_type": "PassThrough"}]


def made() -> Session:
    return Session({"version": "v1", "nodes": NODES})


def reason(event: pb.ControlEvent | None) -> int:
    assert event is not None
    return event.session_closed.reason


def test_the_last_few_are_known() -> None:
    endings, sessions = Endings(), [made() for _ in range(REMEMBERED + 2)]
    for session in sessions:
        endings.keep(session, ANYBODY, stopping=False)
    known = [endings.of(session.session_id, ANYBODY) is not None for session in sessions]
    assert known == [False, False, *[True] * REMEMBERED]


def test_another_ones_end_is_as_unknown_as_its_session() -> None:
    endings, session = Endings(), made()
    holder, other = (Caller(name, TokenRights(sha256="0" * 64)) for name in ("a", "b"))
    endings.keep(session, holder, stopping=False)
    assert endings.of(session.session_id, other) is None
    assert reason(endings.of(session.session_id, holder)) == pb.CLOSE_REASON_CODE_NORMAL


async def test_who_has_ended_it_counts_and_nothing_of_the_session_is_kept() -> None:
    endings = Endings()
    for stopping, expected in (
        (False, pb.CLOSE_REASON_CODE_NORMAL),
        (True, pb.CLOSE_REASON_CODE_ERROR),
    ):
        session = made()
        await session.start()
        await session.cancel("enough")
        endings.keep(session, ANYBODY, stopping=stopping)
        name, left = session.session_id, weakref.ref(session)
        del session
        gc.collect()
        assert left() is None
        assert reason(endings.of(name, ANYBODY)) == expected
