"""A node that a session is asked for and doesn't have."""

from __future__ import annotations

import pytest

from penstock.data import Text
from penstock.errors import InputError, UnknownNodeError
from penstock.session import Session


async def test_a_node_that_there_is_not_is_told_from_one_that_takes_no_inputs():
    nodes = [{"id": "hear", "node_type": "PassThrough"}, {"id": "reply", "node_type": "EchoNode"}]
    between = [{"from": "hear", "to": "reply"}]
    manifest = {"version": "v1", "nodes": nodes, "connections": between}
    meant = "no node has the ID 'heer' (did you mean 'hear'?)"
    async with Session(manifest) as session, session.attach() as attachment:
        with pytest.raises(InputError, match=r"node 'reply' takes no inputs .*these do: hear"):
            await session.send("reply", Text("x"))
        for call in (
            session.send("heer", Text("x")),
            session.interrupt("heer"),
            attachment.tap("heer"),
            attachment.publish("heer", Text("x")),
        ):
            with pytest.raises(UnknownNodeError) as caught:
                await call
            assert (str(caught.value), caught.value.suggestion) == (meant, "hear")
        for _ in range(30):  # a search costs time, and a client may ask as often as it likes
            with pytest.raises(UnknownNodeError) as caught:
                session.send_nowait("heer", Text("x"))
        assert str(caught.value) == "no node has the ID 'heer' (there are hear, reply)"
