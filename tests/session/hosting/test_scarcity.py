"""A front door that may have no more of something says so, leaves nothing, and goes on later."""

import asyncio
import contextlib
import errno
import os
import resource
import signal
import socket
from collections.abc import Iterator

import hosted_nodes
import pytest
from pipelines import chain, options, through

from penstock.data import Text
from penstock.errors import ResourceLimitError, SupervisionError
from penstock.executors.multiprocess import kernel, messages
from penstock.executors.multiprocess.channel import decoder, encoded
from penstock.executors.multiprocess.launcher import LAUNCHER
from penstock.executors.multiprocess.limits import unavailable
from penstock.executors.multiprocess.station import Station
from penstock.executors.multiprocess.supervisor import Supervisor
from penstock.executors.multiprocess.transport import socket_pair
from penstock.executors.multiprocess.zygote import Zygote
from penstock.manifest import Capacity, Settings
from penstock.nodes import Catalogue
from penstock.session import Session
from penstock.session.hosting import Hosts, lanes
from penstock.session.hosting.prewarm import prewarm_orders
from penstock.session.hosting.warm import WarmNodes
from penstock.session.life import MOST_NOTES


@contextlib.contextmanager
def no_more_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def hosted(*types, hosts) -> Session:
    return Session(chain(*types), options([hosted_nodes.__file__], hosts=hosts))


async def test_a_session_without_descriptors_is_refused_and_the_next_is_not(hosts):
    refused = hosted("PassThrough", hosts=hosts)
    with no_more_files(), pytest.raises(ResourceLimitError, match=r"open files.*ulimit -n") as told:
        await refused.start()
    assert told.value.free == 0
    async with hosted("PassThrough", hosts=hosts) as session:
        assert len(await through(session, [Text("x")])) == 1


async def test_a_lane_that_has_no_descriptors_is_a_limit_that_was_met(hosts, monkeypatch):
    def refuse(*_args, **_more):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patch:
        patch.setattr(Station, "sender", refuse)
        with pytest.raises(ResourceLimitError, match="ulimit -n"):
            await hosted("PassThrough", hosts=hosts).start()
    async with hosted("PassThrough", hosts=hosts) as session:
        assert len(await through(session, [Text("x")])) == 1


def test_a_lane_that_the_kernel_left_out_is_not_its_hosts_fault():
    with no_more_files(), pytest.raises(OSError, match="Too many open files"):
        lanes._taken_socket([])
    with pytest.raises(ValueError, match="comes without an end"):
        lanes._taken_socket([])


def test_no_blank_host_without_descriptors_and_one_later(caplog):
    kept = Hosts(1)
    try:
        with no_more_files():
            kept.refill()
        assert "no host can be kept ready" in caplog.text
        assert kept._living() is None
        kept.refill()
        assert len(kept._blanks) == 1
    finally:
        kept.close()


async def test_no_node_is_kept_warm_without_descriptors(caplog):
    settings = Settings.model_validate({"service": {"prewarm": [{"node_type": "EchoNode"}]}})
    catalogue = Catalogue.installed().extended("penstock.testing.faults")
    warm = WarmNodes(prewarm_orders(settings, catalogue))
    warm.refill()  # it has its reactor from now on
    [queue] = warm._waiting.values()
    queue.pop().close()
    with no_more_files():
        warm.refill()
    assert not queue
    assert "could not be kept ready" in caplog.text
    assert "ulimit -n" in caplog.text
    warm.close()


def test_a_supervisor_that_can_fork_no_host_says_why(monkeypatch):
    def refuse() -> int:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    ours, theirs = socket_pair()
    control, its_control = socket_pair()
    with ours, control:
        supervisor = Supervisor(theirs)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fork", refuse)
            supervisor.start_host(lambda *_: None, its_control.detach())
        said = decoder(messages.FromSupervisor).decode(ours.recv(1 << 16)[1:])
        assert isinstance(said, messages.NotSpawned)
        assert "ulimit -u" in said.reason
        assert control.recv(1) == b""
        supervisor._owner.close()
        supervisor._reactor.close()


@pytest.mark.parametrize("host", [None, messages.HOST])
def test_a_zygote_that_can_fork_no_supervisor_says_why(host, monkeypatch):
    def refuse() -> int:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    ours, theirs = socket_pair()
    with ours, theirs:
        zygote = Zygote(theirs.dup(), kernel.soft_files())
        monkeypatch.setattr(os, "fork", refuse)
        monkeypatch.setattr(zygote, "_host_module", lambda _name: None)
        ends = [theirs.dup().detach() for _ in range(1 if host is None else 2)]
        zygote._on_supervise(messages.Supervise(host), ends)
        said = decoder(messages.FromSupervisor).decode(ours.recv(1 << 16)[1:])
        assert isinstance(said, messages.NotSupervised)
        assert "ulimit -u" in said.reason
        zygote._channel.close()
        zygote._reactor.close()


def test_a_supervisor_that_can_not_be_watched_is_none(monkeypatch):
    """It would go on, and be killed as an orphan when another ends."""

    def refuse(_pid: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    def wait(*_: object) -> None:
        signal.alarm(5)
        signal.pause()

    ours, theirs = socket_pair()
    with ours, theirs:
        zygote = Zygote(theirs.dup(), kernel.soft_files())
        monkeypatch.setattr(kernel, "watch_child", refuse)
        monkeypatch.setattr("penstock.executors.multiprocess.zygote._become_supervisor", wait)
        before = kernel.children()
        zygote._on_supervise(messages.Supervise(None), [theirs.dup().detach()])
        assert kernel.children() == before
        said = decoder(messages.FromSupervisor).decode(ours.recv(1 << 16)[1:])
        assert "ulimit -n" in said.reason
        zygote._channel.close()
        zygote._reactor.close()


@pytest.fixture
def refusing(monkeypatch) -> None:
    """The zygote can fork nothing."""

    def supervise(owner: socket.socket, *_control: socket.socket, host: str | None = None) -> int:
        owner.send(encoded(messages.NotSupervised("no process is left")))
        return 0

    monkeypatch.setattr(LAUNCHER, "supervise", supervise)


@pytest.mark.parametrize("kept", [None, Hosts(0)])
@pytest.mark.usefixtures("refusing")
async def test_a_session_without_a_supervisor_says_why(kept):
    session = hosted("EchoNode", hosts=kept)
    with pytest.raises(SupervisionError, match=r"could not be started: no process is left$"):
        await session.start()


@pytest.mark.usefixtures("refusing")
async def test_a_warm_node_without_a_supervisor_says_why(caplog):
    settings = Settings.model_validate({"service": {"prewarm": [{"node_type": "EchoNode"}]}})
    catalogue = Catalogue.installed().extended("penstock.testing.faults")
    warm = WarmNodes(prewarm_orders(settings, catalogue))
    warm.refill()
    async with asyncio.timeout(10):
        while "kept ready: no process is left" not in caplog.text:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0)
    warm.close()


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ETOOMANYREFS, errno.EAGAIN])
def test_a_shortage_is_a_limit_that_was_met(code):
    error = unavailable(OSError(code, os.strerror(code)))
    assert type(error) is ResourceLimitError
    assert (error.wished, error.free) == (1, 0)


def test_what_there_is_no_more_of_is_told_without_opening_a_file():
    """A host has had no reason yet to look at what the machine has."""
    Capacity.here.cache_clear()
    with no_more_files():
        error = unavailable(OSError(errno.EMFILE, os.strerror(errno.EMFILE)))
    assert type(error) is ResourceLimitError


def test_anything_else_is_the_operators_affair():
    error = unavailable(OSError(errno.EIO, "Input/output error"))
    assert type(error) is SupervisionError
    assert "Input/output error" in str(error)


async def test_a_session_keeps_so_many_notes_and_no_more(hosts):
    async with hosted("PassThrough", hosts=hosts) as session:
        for number in range(MOST_NOTES + 5):
            session._life.faulted(SupervisionError(str(number)))
        assert len(session.context.faults) == MOST_NOTES
