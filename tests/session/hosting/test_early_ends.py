"""A session that is given up before its host has begun."""

import asyncio
import os
import signal

from pipelines import chain, options

from penstock.executors.multiprocess.launcher import LAUNCHER
from penstock.session import Session
from penstock.session.hosting import Hosts
from penstock.session.hosting.ensemble import ANSWER_S


async def test_a_host_that_has_yet_to_begin_is_not_blamed_for_its_end():
    LAUNCHER.warm_up()
    zygote = LAUNCHER.pid
    os.kill(zygote, signal.SIGSTOP)
    try:
        session = Session(chain("EchoNode"), options(hosts=Hosts(0)))
        starting = asyncio.create_task(session.start())
        await asyncio.sleep(0.05)
        asyncio.get_running_loop().call_later(2 * ANSWER_S, os.kill, zygote, signal.SIGCONT)
        await session.cancel("enough")
        await asyncio.wait([starting])
        assert starting.exception() is not None
    finally:
        os.kill(zygote, signal.SIGCONT)
    assert session.context.faults == []
