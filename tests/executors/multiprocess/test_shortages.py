"""Where the system has no more of something, nothing is left of what was begun."""

import errno
import os

import pytest

from penstock.executors.multiprocess import kernel
from penstock.executors.multiprocess.child import Body, Child
from penstock.executors.multiprocess.limits import shortage
from penstock.executors.multiprocess.transport import Reactor

BODY = Body("pn:x", (), lambda *_: None)


def descriptors():
    return set(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("call", ["fork", "pipe2", "memfd_create", "pidfd_open"])
def test_a_process_that_can_not_be_started_leaves_nothing(call, monkeypatch):
    """No process and no descriptor, as the leak check sees too."""
    reactor = Reactor()
    before, children = descriptors(), kernel.children()

    def refuse(*_args, **_more):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        with pytest.raises(OSError, match="Too many open files"):
            Child.start("x", BODY, reactor, lambda *_: None)
    assert descriptors() == before
    assert kernel.children() == children
    reactor.close()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.EMFILE, "files open that it may"),
        (errno.ETOOMANYREFS, "descriptors are on their way"),
        (errno.EAGAIN, "all the processes that it may"),
        (errno.ENOMEM, "no memory left"),
    ],
)
def test_what_there_is_no_more_of_is_told(code, said):
    text = shortage(OSError(code, os.strerror(code)))
    assert said in text
    assert os.strerror(code) in text


def test_other_errors_are_told_as_they_are():
    error = OSError(errno.ENOENT, "No such file or directory", "/nowhere")
    assert shortage(error) == str(error)
