"""What lies beside a node: a verdict holds, whoever gave it is gone by then."""

import pytest

from penstock.bridges import DirectLane, LaneSpec, Purpose
from penstock.bridges.direct import DirectProducer
from penstock.data import CLIENT, Json, Kind, Message, Text
from penstock.executors.side_lanes import NO_MORE, SideLanes, Verdict

TEXT = frozenset({Kind.TEXT})
OUTPUT = Message(Text("out"), 1, origin="n")


def asked_about(side):
    """The lanes of somebody who has been asked about ``OUTPUT``."""
    questions = DirectLane(LaneSpec(1, "n", CLIENT, TEXT, purpose=Purpose.QUESTION))
    verdicts = DirectLane(LaneSpec(2, CLIENT, "n", TEXT, purpose=Purpose.VERDICT))
    side.heed(verdicts.consumer)
    side.attach(questions.producer)
    return questions, verdicts


@pytest.mark.parametrize("leaves", [("questions", "verdicts"), ("verdicts", "questions")])
def test_a_verdict_holds_though_its_lanes_are_gone_before_the_node_has_looked(leaves):
    side = SideLanes()
    questions, verdicts = asked_about(side)
    ends = {"questions": questions.producer, "verdicts": verdicts.consumer}
    side.ask()
    assert side.verdict(OUTPUT) is None
    question = questions.consumer.take()
    answer = Message(Text("in its place"), part=Verdict.REPLACE, epoch=question.epoch)
    assert verdicts.producer.offer(answer)
    for name in leaves:
        side.detach(ends[name])
    others, _ = asked_about(side)
    decided, message = side.verdict(OUTPUT)
    assert (decided, message.value, message.sequence) == (Verdict.REPLACE, answer.value, 1)
    assert others.consumer.take() is None
    side.ask()
    assert side.verdict(OUTPUT) is None
    assert others.consumer.take() is not None


def test_without_a_verdict_the_next_is_asked_anew():
    side = SideLanes()
    questions, verdicts = asked_about(side)
    side.ask()
    assert side.verdict(OUTPUT) is None
    side.detach(questions.producer)
    side.detach(verdicts.consumer)
    others, _ = asked_about(side)
    assert side.verdict(OUTPUT) is None
    assert others.consumer.take() is not None


def test_a_tap_is_told_once_how_many_there_were_and_who_comes_later_that_it_is_over():
    first, late = (
        DirectLane(LaneSpec(number, "n", CLIENT, TEXT | {Kind.JSON}, purpose=Purpose.TAP))
        for number in (1, 2)
    )
    side = SideLanes()
    side.attach(first.producer)
    for _ in range(2):
        side.show(OUTPUT)
    side.end()
    side.attach(late.producer)
    told = [first.consumer.take() for _ in range(4)]
    assert [message and (message.part, message.epoch) for message in told] == [
        (0, 1), (0, 2), (NO_MORE, 2), None
    ]  # fmt: skip
    assert first.consumer.ended
    assert late.consumer.ended


class Lagging(DirectProducer):
    """As one to another process, where what was shown last lies in this one's memory still."""

    lent = 1


def test_a_tap_that_lags_holds_no_more_json_than_anything_else():
    json = frozenset({Kind.JSON})
    lane = DirectLane(
        LaneSpec(1, "n", CLIENT, json, max_buffered_bytes=4 << 10, purpose=Purpose.TAP)
    )
    side = SideLanes()
    side.attach(Lagging(lane))
    for value in (Json(["x" * 4096]), Json(["x"])):
        side.show(Message(value, 1, origin="n"))
    shown = [lane.consumer.take() for _ in range(2)]
    assert [message and message.epoch for message in shown] == [2, None]
