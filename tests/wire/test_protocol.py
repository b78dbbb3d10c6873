"""The ``.proto`` files say what the protocol says, and the generated modules what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)
from grpc_health.v1 import health_pb2 as standard

from penstock.wire.methods import (
    CHECK_HEALTH,
    EXECUTE_PIPELINE,
    GET_VERSION,
    PLAN_PIPELINE,
    STREAM_PIPELINE,
    WATCH_HEALTH,
)
from penstock.wire.v1 import (
    common_pb2,
    control_pb2,
    execution_pb2,
    health_pb2,
    penstock_pb2,
    streaming_pb2,
)

ROOT = Path(__file__).resolve().parents[2]
FILES: dict[str, FileDescriptor] = {
    module.DESCRIPTOR.name: module.DESCRIPTOR
    for module in (
        common_pb2,
        execution_pb2,
        streaming_pb2,
        control_pb2,
        health_pb2,
        penstock_pb2,
    )
}
PROTOCOL = {name: file for name, file in FILES.items() if file.package == "remotemedia.v1"}
FACTS = (Path(__file__).parent / "remotemedia_v1.txt").read_text()
TYPES = {
    getattr(FieldDescriptor, name): name.removeprefix("TYPE_").lower()
    for name in dir(FieldDescriptor)
    if name.startswith("TYPE_")
}


def facts() -> dict[tuple[str, str], list[str]]:
    """File and message, enum or service, with a line for each field, value or method."""
    found: dict[tuple[str, str], list[str]] = {}
    file = ""
    for line in FACTS.splitlines():
        if line.startswith("# ") or not line:
            continue
        if line.startswith("file "):
            file = line.removeprefix("file ")
            continue
        name, _, rest = line.partition(":")
        found[file, name] = sorted(part.strip() for part in rest.split(";") if part.strip())
    return found


def type_name(field: FieldDescriptor) -> str:
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        key, value = entry.fields_by_name["key"], entry.fields_by_name["value"]
        return f"map<{type_name(key)}, {type_name(value)}>"
    named = entry or field.enum_type
    if named is None:
        return TYPES[field.type]
    return str(named.full_name).removeprefix("remotemedia.v1.")


def described(field: FieldDescriptor) -> str:
    label = ""
    oneof = field.containing_oneof
    kind = type_name(field)
    if oneof is not None and oneof.name.startswith("_"):
        label = "optional "
    elif oneof is not None:
        kind += f" in {oneof.name}"
    elif field.is_repeated and not kind.startswith("map<"):
        label = "repeated "
    return f"{field.number} {field.name} {label}{kind}"


OUR_VALUES = {"StreamControl.COMMAND_INTERRUPT"}
"""The protocol's own values go up to 255."""


def built(file: FileDescriptor) -> dict[tuple[str, str], list[str]]:
    """The same of a descriptor, without what is ours: fields from 100 up, and ``OUR_VALUES``."""
    found: dict[tuple[str, str], list[str]] = {}

    def add(message: Descriptor, prefix: str = "") -> None:
        name = prefix + message.name
        ours = [field for field in message.fields if field.number < 100]
        found[file.name, name] = sorted(described(field) for field in ours)
        for enum in message.enum_types:
            found[file.name, f"{name}.{enum.name}"] = sorted(
                f"{value.number} {value.name}"
                for value in enum.values
                if f"{name}.{value.name}" not in OUR_VALUES
            )

    for message in file.message_types_by_name.values():
        add(message)
    for enum in file.enum_types_by_name.values():
        values = [f"{value.number} {value.name}" for value in enum.values]
        found[file.name, enum.name] = sorted(values)
    for service in file.services_by_name.values():
        found[file.name, service.name] = sorted(
            f"{method.name} {'stream ' if method.client_streaming else ''}{method.input_type.name}"
            f" {'stream ' if method.server_streaming else ''}{method.output_type.name}"
            for method in service.methods
        )
    return found


OURS = {
    ("common.proto", "BridgeMetrics"),
    ("common.proto", "Interrupted"),
    ("control.proto", "Acknowledged"),
    ("control.proto", "Interrupt"),
    ("control.proto", "TapEnd"),
    ("execution.proto", "MultiprocessConfig"),
    ("execution.proto", "SinkOutput"),
    ("streaming.proto", "NodeProgress"),
}


def test_every_name_number_and_type_is_the_protocols() -> None:
    have = {key: value for file in PROTOCOL.values() for key, value in built(file).items()}
    assert have.keys() - facts().keys() == OURS
    assert {key: value for key, value in have.items() if key not in OURS} == facts()


def test_what_is_ours_in_the_protocols_messages_starts_at_100() -> None:
    ours = {
        f"{message.name}.{field.name}": field.number
        for file in PROTOCOL.values()
        for message in file.message_types_by_name.values()
        for field in message.fields
        if field.number >= 100 and (file.name, message.name) not in OURS
    }
    assert ours == {
        "Attached.acknowledges": 100,
        "Connection.channel_capacity": 101,
        "Connection.drop_policy": 102,
        "Connection.enable_backpressure": 100,
        "ChunkResult.part": 100,
        "ChunkResult.timestamp_us": 101,
        "ControlEvent.acknowledged": 101,
        "ControlEvent.interrupted": 100,
        "ControlFrame.interrupt": 100,
        "ErrorEvent.error": 101,
        "ErrorEvent.frame": 100,
        "ExecuteResponse.failed": 100,
        "ExecutionMetrics.bridges": 100,
        "ExecutionResult.outputs": 100,
        "Hello.acknowledge": 100,
        "InterceptRequest.part": 102,
        "InterceptRequest.sequence": 101,
        "InterceptRequest.timestamp_us": 103,
        "ManifestMetadata.multiprocess": 100,
        "NodeMetrics.cpu_time_ms": 101,
        "NodeMetrics.executor": 102,
        "NodeMetrics.filtered": 106,
        "NodeMetrics.interrupted": 107,
        "NodeMetrics.outputs": 100,
        "NodeMetrics.pid": 103,
        "NodeMetrics.reason": 104,
        "NodeMetrics.skipped": 108,
        "NodeMetrics.unmatched": 105,
        "NodeMetrics.withheld": 109,
        "NumpyBuffer.layout": 100,
        "Publish.timestamp_us": 100,
        "SessionClosed.error": 100,
        "SessionClosed.taps": 101,
        "StreamControl.node_id": 100,
        "StreamResponse.interrupted": 101,
        "StreamResponse.progress": 100,
        "TapEvent.lost": 100,
        "TapEvent.part": 102,
        "TapEvent.sequence": 101,
        "TapEvent.timestamp_us": 103,
    }


def test_the_generated_modules_are_current(tmp_path: Path) -> None:
    made = tmp_path / "set"
    names = sorted(FILES)
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'proto'}"]
    subprocess.run([*command, f"--descriptor_set_out={made}", *names], check=True)
    compiled = {file.name: file for file in FileDescriptorSet.FromString(made.read_bytes()).file}
    assert sorted(path.name for path in (ROOT / "proto").iterdir()) == names
    for name, descriptor in FILES.items():
        drop_json_names(compiled[name].message_type)
        assert FileDescriptorProto.FromString(descriptor.serialized_pb) == compiled[name], name


def drop_json_names(messages: Iterable[DescriptorProto]) -> None:
    """protoc adds them to a descriptor set, not to the modules."""
    for message in messages:
        drop_json_names(message.nested_type)
        for field in message.field:
            field.ClearField("json_name")


def test_the_tool_makes_what_is_committed(tmp_path: Path) -> None:
    tool = ROOT / "tools" / "generate_proto.py"
    subprocess.run([sys.executable, tool, "--out", tmp_path], check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"{name.removesuffix('.proto')}_pb2.{kind}" for name in FILES for kind in ("py", "pyi")
    )
    for path in tmp_path.glob("*.py"):
        code = path.read_text()
        assert "descriptor_pool.Default" not in code
        assert not re.search(r"^import \w+_pb2", code, re.MULTILINE)


def test_a_program_may_have_its_own_copy_of_the_protocol(tmp_path: Path) -> None:
    """Both register ``common.proto``; in one descriptor pool the second would be refused."""
    theirs = (ROOT / "proto" / "common.proto").read_text()
    theirs = theirs.replace("uint64 pid = 103", "string pid = 103")
    (tmp_path / "common.proto").write_text(theirs)
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{tmp_path}"]
    subprocess.run([*command, f"--python_out={tmp_path}", "common.proto"], check=True)
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import common_pb2
from penstock.wire.v1 import common_pb2 as ours
assert common_pb2.NodeMetrics(pid="theirs") and ours.NodeMetrics(pid=1)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "method",
    [EXECUTE_PIPELINE, GET_VERSION, STREAM_PIPELINE, PLAN_PIPELINE, CHECK_HEALTH, WATCH_HEALTH],
)
def test_methods_are_those_of_the_files(method) -> None:  # type: ignore[no-untyped-def]  # three types
    services = {s.full_name: s for f in FILES.values() for s in f.services_by_name.values()}
    found = services[method.service].methods_by_name[method.name]
    assert found.input_type is method.request.DESCRIPTOR
    assert found.output_type is method.response.DESCRIPTOR
    assert method.path == f"/{method.service}/{method.name}"


def test_health_is_the_standard_service() -> None:
    """Only the file's name is ours: it lies in a descriptor pool of its own."""
    theirs, own = DescriptorProto(), DescriptorProto()
    for name in ("HealthCheckRequest", "HealthCheckResponse"):
        standard.DESCRIPTOR.message_types_by_name[name].CopyToProto(theirs)
        health_pb2.DESCRIPTOR.message_types_by_name[name].CopyToProto(own)
        assert own == theirs
    service = health_pb2.DESCRIPTOR.services_by_name["Health"]
    expected = standard.DESCRIPTOR.services_by_name["Health"]
    assert service.full_name == expected.full_name
    for method in (CHECK_HEALTH, WATCH_HEALTH):
        found = service.methods_by_name[method.name]
        assert found.server_streaming == expected.methods_by_name[method.name].server_streaming
