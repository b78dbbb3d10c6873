"""Where an interrupt beside a stream stands among the messages of it."""

from __future__ import annotations

from penstock.service.course import MOST_AHEAD, MOST_BESIDE, Course


def at(read: int) -> Course:
    course = Course()
    for _ in range(read):
        course.advance()
    return course


def test_what_was_sent_before_is_stale_when_it_is_read_and_nothing_else() -> None:
    course = at(1)
    course.overtake(3, everything=True)
    seen = []
    for _ in range(4):
        seen.append((course.is_stale, course.is_heeded))
        course.advance()
    assert seen == [(True, False), (True, False), (True, True), (False, False)]


def test_it_is_late_where_all_has_been_read() -> None:
    course = at(3)
    assert [course.lies_ahead(place) for place in (2, 3, 4)] == [False, False, True]


def test_whether_it_has_advanced_is_since_that_was_asked_last() -> None:
    course = at(2)
    assert [course.has_advanced(), course.has_advanced()] == [True, False]
    course.advance()
    assert course.has_advanced()


def test_who_claims_too_many_places_waits_until_they_have_been_reached() -> None:
    course = at(1)
    for place in range(2, MOST_BESIDE + 2):
        assert course.lies_ahead(place)
        course.overtake(place, everything=False)
    assert not course.lies_ahead(1000)
    course.advance()
    course.advance()
    assert course.lies_ahead(1000)


def test_how_far_a_place_may_lie_ahead_goes_by_what_has_been_read() -> None:
    course = at(3)
    assert (course.read, course.farthest) == (3, 3 + MOST_AHEAD)
    course.advance()
    assert course.farthest == 4 + MOST_AHEAD
