"""A node's process has the memory and the files that it was given, and no more."""

import resource
import sys

import pytest
from pipelines import chain, options, run

from penstock.data import Text
from penstock.errors import NodeError, NodeExecutionError
from penstock.executors.multiprocess import limits
from penstock.executors.multiprocess.limits import MemoryLimiter
from penstock.manifest import Settings
from penstock.session import Session

MEMORY = 200 << 20
pytestmark = pytest.mark.skipif(
    limits.memory_limiter() is not MemoryLimiter.RLIMIT_DATA, reason="a control group limits here"
)


async def answer(manifest, text):
    async with Session(manifest, options()) as session:
        await session.send("n0", Text(text))
        return await anext(session.outputs())


async def failure(manifest, text):
    """What a session fails with that gets one input."""
    with pytest.raises(NodeError) as failed:
        await answer(manifest, text)
    return failed.value


def limited(kind, **more):
    return chain(kind, **{"node_memory_bytes": MEMORY, **more})


@pytest.mark.parametrize("how", ["at once", "bit by bit", "numpy"])
async def test_a_node_that_wants_more_gets_a_memory_error(how):
    error = await failure(limited("hungry"), how)
    assert type(error) is NodeExecutionError
    assert (error.node_id, error.during) == ("n0", "process")
    assert error.exception_type.endswith("MemoryError")
    assert f"its process may use {MEMORY} bytes of memory" in str(error)
    if how != "bit by bit":  # that leaves no memory for a traceback
        assert "pipelines.py" in error.traceback


async def test_a_node_within_its_limit_goes_on():
    outputs = await run(limited("hungry"), [Text("a little")] * 3)
    assert len(outputs) == 3


async def test_other_nodes_of_the_session_and_the_session_itself_are_not_limited_by_it():
    async with Session(limited("tells_limits"), options()) as session:
        assert resource.getrlimit(resource.RLIMIT_DATA)[0] == resource.RLIM_INFINITY
        assert session.context.memory_limiter is MemoryLimiter.RLIMIT_DATA
        await session.send("n0", Text("x"))
        assert MEMORY < (await anext(session.outputs())).value.value["data"] < 2 * MEMORY


async def test_shared_memory_does_not_count():
    """Twice what the process may use for itself, in messages that are kept."""
    manifest = limited("fills_shared_memory", max_message_bytes=256 << 20)
    settings = Settings.model_validate({"limits": {"max_message_bytes": 256 << 20}})
    outputs = await run(manifest, [Text("x")] * 2, options(settings=settings))
    assert [len(output.value.data) for output in outputs] == [240 << 20] * 2


async def test_hundreds_of_threads_are_within_a_limit():
    [output] = await run(limited("many_threads"), [Text("150")])
    assert output.value.text == "150"


@pytest.mark.parametrize("python", ["its own", "another"])
async def test_what_the_kernel_was_told(python, tmp_path):
    more = {}
    if python == "another":
        script = tmp_path / "python"
        script.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        script.chmod(0o755)
        more["python_executable"] = str(script)
    [output] = await run(limited("tells_limits", open_files=100, **more), [Text("x")])
    found = output.value.value
    begins_with = found.pop("data") - MEMORY
    assert 0 < begins_with < 200 << 20
    assert found == {
        "files": 100, "core": 0, "stack": 1 << 20, "c_stack": 1 << 20,
    }  # fmt: skip


async def test_nothing_is_limited_unless_it_is_asked_for():
    async with Session(chain("tells_limits"), options()) as session:
        assert session.context.memory_limiter is None
        await session.send("n0", Text("x"))
        found = (await anext(session.outputs())).value.value
    assert found["data"] == resource.RLIM_INFINITY
    assert found["files"] == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert found["stack"] == 0


async def test_core_dumps_can_be_had(monkeypatch):
    """Only the zygote's environment counts, and it has been started: so in this process."""
    told = []
    monkeypatch.setattr(limits.resource, "setrlimit", lambda *limit: told.append(limit))
    limits.confine(limits.UNLIMITED, None)
    assert [which for which, _ in told] == [resource.RLIMIT_CORE]
    monkeypatch.setenv(limits.CORE_DUMPS, "1")
    limits.confine(limits.UNLIMITED, None)
    assert len(told) == 1


async def test_a_node_that_opens_too_many_files_raises():
    error = await failure(chain("opens_files", open_files=64), "x")
    assert type(error) is NodeExecutionError
    assert "Too many open files" in str(error)
