"""Files that a client names: only those below the operator's folders, and only their bytes."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from wire_client import CLOSE, WireClient, converse, init, pipeline

from penstock.errors import ConfigurationError
from penstock.manifest import Limits, ServiceSettings, Settings, load_settings
from penstock.service.beneath import walked
from penstock.wire.v1 import common_pb2 as pb
from penstock.wire.v1 import execution_pb2 as execution
from penstock.wire.v1 import streaming_pb2 as streaming

LARGEST = 10_000


@pytest.fixture
def allowed(tmp_path: Path) -> Path:
    folder = tmp_path / "allowed"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.bin").write_bytes(bytes(range(100)))
    (folder / "large.bin").write_bytes(bytes(LARGEST + 1))
    (folder / "inside").symlink_to("sub/a.bin")
    (folder / "outside").symlink_to(tmp_path / "secret")
    (folder / "up").symlink_to("..")
    (tmp_path / "secret").write_text("not for you")
    os.mkfifo(folder / "fifo")
    return folder


@pytest.fixture
def settings(allowed: Path) -> Settings:
    return Settings(
        service=ServiceSettings(files=(str(allowed),)), limits=Limits(max_message_bytes=LARGEST)
    )


def buffer(path: str, **fields: object) -> pb.DataBuffer:
    return pb.DataBuffer(file=pb.FileBuffer(path=path, **fields))  # type: ignore[arg-type]  # any


async def executed(wire: WireClient, given: pb.DataBuffer) -> execution.ExecuteResponse:
    request = execution.ExecuteRequest(
        manifest=pipeline("PassThrough", max_message_bytes=LARGEST), data_inputs={"n0": given}
    )
    return await wire.execute(request)  # type: ignore[no-any-return]  # gRPC's own type


@pytest.mark.parametrize(
    ("fields", "data"),
    [
        ({}, bytes(range(100))),
        ({"size": 100}, bytes(range(100))),
        ({"offset": 90}, bytes(range(90, 100))),
        ({"offset": 10, "length": 5}, bytes(range(10, 15))),
        ({"offset": 100}, b""),
    ],
)
async def test_its_bytes_are_a_binary_with_its_facts(
    wire: WireClient, fields: dict[str, int], data: bytes
) -> None:
    given = buffer("sub/a.bin", mime_type="audio/x", stream_id="s1", **fields)
    given.metadata["who"] = "anna"
    got = (await executed(wire, given)).result.data_outputs["n0"]
    assert got.binary == pb.BinaryBuffer(data=data, mime_type="audio/x")
    assert dict(got.metadata) == {"who": "anna", "filename": "a.bin", "stream_id": "s1"}


async def test_an_absolute_path_and_a_name_of_its_own(wire: WireClient, allowed: Path) -> None:
    given = buffer(str(allowed / "inside"), filename="speech.wav")
    got = (await executed(wire, given)).result.data_outputs["n0"]
    assert len(got.binary.data) == 100
    assert got.metadata["filename"] == "speech.wav"


async def test_on_a_stream_in_all_places(wire: WireClient) -> None:
    chunk = streaming.DataChunk(
        node_id="n0", buffer=buffer("sub/a.bin"), named_buffers={"side": buffer("inside")}
    )
    manifest = pipeline("PassThrough", max_message_bytes=LARGEST)
    manifest.nodes.add(id="side", node_type="PassThrough")
    responses = await converse(
        wire,
        init(manifest, data_inputs={"n0": buffer("inside")}),
        streaming.StreamRequest(data_chunk=chunk),
        CLOSE,
    )
    results = [response.result for response in responses if response.HasField("result")]
    sizes = [len(one.binary.data) for result in results for one in result.data_outputs.values()]
    assert sizes == [100, 100, 100]


@pytest.mark.parametrize(
    "path",
    [
        "", ".", "sub", "nothing", "../secret", "sub/../../secret", "outside", "up/secret",
        "/etc/passwd", "fifo", "a\0b", "sub/a.bin\0x",
        "x" * 5000, "/proc/self/environ", "sub/a.bin/x",
    ],
)  # fmt: skip
async def test_everything_else_is_refused_alike(wire: WireClient, path: str) -> None:
    error = (await executed(wire, buffer(path))).error
    assert error.error_type == pb.ERROR_TYPE_TYPE_VALIDATION
    assert error.message.endswith("is no file below the folders that are allowed")


async def test_what_is_above_an_absolute_path_is_refused(wire: WireClient, allowed: Path) -> None:
    error = (await executed(wire, buffer(f"{allowed}/../secret"))).error
    assert error.message.endswith("is no file below the folders that are allowed")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"size": 99}, "size: says 99, but it has 100 bytes"),
        ({"offset": 101}, "offset: 101 is behind its 100 bytes"),
        ({"offset": 50, "length": 51}, "length: 51 from 50 on is more than its 100 bytes"),
        ({"length": 2**64 - 1}, "is more than its 100 bytes"),
    ],
)
async def test_what_is_said_of_it_must_be_so(
    wire: WireClient, fields: dict[str, int], said: str
) -> None:
    error = (await executed(wire, buffer("inside", **fields))).error
    assert error.error_type == pb.ERROR_TYPE_TYPE_VALIDATION
    assert said in error.message


async def test_files_of_one_message_have_a_limit_together(wire: WireClient) -> None:
    error = (await executed(wire, buffer("large.bin"))).error
    assert error.error_type == pb.ERROR_TYPE_RESOURCE_LIMIT
    many = {str(number): buffer("large.bin", length=LARGEST // 4) for number in range(5)}
    request = streaming.StreamRequest(data_chunk=streaming.DataChunk(named_buffers=many))
    *_, last = await converse(wire, init(pipeline("PassThrough")), request)
    assert last.error.error_type == pb.ERROR_TYPE_RESOURCE_LIMIT
    assert "max_message_bytes" in last.error.message


def link(folder: Path) -> None:
    (folder / "link").symlink_to("sub")


def sock(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(folder / "link"))


@pytest.mark.parametrize("made", [link, sock])
def test_without_openat2_no_link_is_taken(allowed: Path, made: Callable[[Path], None]) -> None:
    made(allowed)
    directory = os.open(allowed, os.O_PATH)
    try:
        found = walked(directory, "sub//./a.bin")
        assert os.readlink(f"/proc/self/fd/{found}") == str(allowed / "sub" / "a.bin")
        os.close(found)
        for path in ("link/a.bin", "../secret", str(allowed), "up/secret", "sub/../x"):
            with pytest.raises(OSError, match=r"Not a directory|Invalid cross-device"):
                walked(directory, path)
    finally:
        os.close(directory)


class TestWithoutFolders:
    """As a service is by default."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings()

    async def test_no_file_is_taken(self, wire: WireClient, allowed: Path) -> None:
        error = (await executed(wire, buffer(str(allowed / "inside")))).error
        assert error.error_type == pb.ERROR_TYPE_TYPE_VALIDATION
        assert "files are not taken" in error.message


def test_a_folder_that_is_none_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "penstock.toml"
    path.write_text('[service]\nfiles = ["relative", "/nowhere/at/all"]\n')
    with pytest.raises(ConfigurationError) as caught:
        load_settings(path)
    assert [str(fault) for fault in caught.value.faults] == [
        "service.files[0]: must be a folder's absolute path, got relative",
        "service.files[1]: must be a folder that there is, got /nowhere/at/all",
    ]
